"""
Two clients across rotations of the root: every TLS handshake between them succeeds.

Time is virtual, so OpenSSL is told to leave validity alone; that is checked here by the same clock.
"""

import random
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from tests.helpers.authorities import new_generation
from xds_server.identity.authority.rotation import Rotation, advance, offer
from xds_server.identity.signing.work import Work, perform

HOUR = 3_600
TTL = 24 * HOUR
OVERLAP = TTL + 120.0
START = 1_900_000_000.0
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


@dataclass
class Peer:
    """A ztunnel: what it was given when it asked last, and when it asks again."""

    name: str
    folder: Path
    ask_at: float = 0.0
    not_after: float = 0.0

    def refresh(self, rotation: Rotation, now: float) -> None:
        """Ask for a certificate at half of the life of the one held, as ztunnel does."""
        if now < self.ask_at:
            return
        issuer = rotation.current
        not_after = int(min(now + TTL, issuer.not_after))
        done = perform(
            Work(
                1,
                f"spiffe://cluster.local/ns/a/sa/{self.name}",
                "",
                int(now) - 120,
                not_after,
                issuer.certificate_pem,
                issuer.key_pem,
            )
        )
        (self.folder / f"{self.name}.pem").write_text(done.key + done.leaf + "".join(issuer.chain))
        (self.folder / f"{self.name}.roots").write_text(rotation.trust_bundle)
        self.not_after, self.ask_at = not_after, now - 120 + (not_after - now + 120) / 2

    def context(self, side: int) -> ssl.SSLContext:
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        context.load_cert_chain(self.folder / f"{self.name}.pem")
        context.load_verify_locations(self.folder / f"{self.name}.roots")
        return context


def shake_hands(client: Peer, server: Peer) -> None:
    """
    Make a handshake in memory in which both show and check certificates.

    Raises:
        ssl.SSLError: one does not trust the other.

    """
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.context(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(to_client, to_server),
        server.context(ssl.PROTOCOL_TLS_SERVER).wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    for side in sides:
        assert side.getpeercert(binary_form=True)


def run(folder: Path, offers: dict[int, float], hours: int, late: float = 0.0) -> int:
    """
    Let two peers live for some hours; return how many issuers signed for them.

    ``offers`` tells at which hours an operator brings a new authority, and how old that is;
    ``late`` is how long a peer's renewal may fail before it succeeds.
    """
    chance = random.Random(hours)  # noqa: S311
    rotation = offer(None, new_generation(START), START, OVERLAP)
    peers = [Peer("one", folder), Peer("two", folder)]
    issuers = set()
    for step in range(hours):
        now = START + step * HOUR
        if step in offers:
            rotation = offer(rotation, new_generation(now - offers[step]), now, OVERLAP)
        rotation = advance(rotation, now, OVERLAP)
        for peer in peers:
            if now >= peer.ask_at + chance.uniform(0, late):
                peer.refresh(rotation, now)
            assert now < peer.not_after
        issuers.add(rotation.current.digest)
        shake_hands(*peers)
        shake_hands(*reversed(peers))
    return len(issuers)


@pytest.mark.parametrize("at", [1, 11, 12, 13, 23])
def test_a_new_authority_is_taken_without_a_failed_handshake(tmp_path: Path, at: int) -> None:
    assert run(tmp_path, {at: 0.0}, 96) == 2


def test_one_rotation_after_the_other(tmp_path: Path) -> None:
    assert run(tmp_path, {2: 0.0, 60: 0.0, 115: 0.0}, 190) == 4


def test_renewals_that_are_late_do_not_matter_within_the_life_of_a_certificate(tmp_path: Path) -> None:
    assert run(tmp_path, {5: 0.0}, 96, late=6.0 * HOUR) == 2


def test_peers_of_two_authorities_do_not_trust_each_other(tmp_path: Path) -> None:
    peers = [Peer("one", tmp_path), Peer("two", tmp_path)]
    for peer in peers:
        peer.refresh(offer(None, new_generation(START), START, OVERLAP), START)
    with pytest.raises(ssl.SSLError):
        shake_hands(*peers)


def test_the_old_root_is_gone_when_all_is_over(tmp_path: Path) -> None:
    old, new = new_generation(START), new_generation(START)
    rotation = offer(offer(None, old, START, OVERLAP), new, START, OVERLAP)
    assert rotation.current == old
    assert set(x509.load_pem_x509_certificates(rotation.trust_bundle.encode())) == set(
        x509.load_pem_x509_certificates("".join((*old.roots, *new.roots)).encode())
    )
    rotation = advance(rotation, START + OVERLAP, OVERLAP)
    assert rotation.current == new
    assert old.roots[0] in rotation.trust_bundle
    rotation = advance(rotation, START + 2 * OVERLAP, OVERLAP)
    assert rotation.trust_bundle == "".join(new.roots)
