"""
An operator brings a new certificate authority: files dropped into ``--certs``, and nobody notices.

First with a virtual clock, over all the days a rotation takes; then with a running server, for its
first moment.
"""

import asyncio
import base64
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests.helpers.authorities import new_csr
from tests.helpers.offmesh import EXAMPLE, Offmesh, OpenCall, grpcurl, serve
from tests.identity.authority.held_authority import Clock, authority_on, put
from tests.identity.authority.made_certificates import Shape, istio_files, make, plugged_in
from tests.identity.test_rotation_handshakes import Peer, shake_hands
from xds_server.identity.authority.authority import CertificateAuthority
from xds_server.identity.signing.signer import Signer
from xds_server.identity.spiffe import Identity
from xds_server.settings import IdentitySettings

HOUR = 3_600
CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"
SDS = "envoy.service.secret.v3.SecretDiscoveryService"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105
ZTUNNEL = "istio-system/ztunnel-b4n8k"


class Mesh:
    """An authority on a folder with its signer, at a virtual hour, and two clients of it."""

    def __init__(self, folder: Path) -> None:
        self.hours_apart = 5
        """How much before the first client's the second one's first renewal is."""
        self.certs = folder / "certs"
        self.clock = Clock()
        self.authority: CertificateAuthority
        self.signer: Signer
        self.peers = [Peer(name, folder) for name in ("one", "two")]

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Run a server's parts on what the folder holds."""
        self.authority = authority_on(self.certs, self.clock)
        await self.authority.load()
        self.signer = Signer(self.authority, IdentitySettings(), clock=self.clock)
        running = asyncio.create_task(self.signer.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def pass_hours(self, hours: int) -> None:
        """Let time go by; every hour the clients renew what is due and talk to each other, both ways."""
        for _ in range(hours):
            self.clock.now += HOUR
            await self.check()

    async def check(self) -> None:
        await self.authority.refresh()
        for peer in self.peers:
            await self.renew(peer)
            assert self.clock.now < peer.not_after
        shake_hands(*self.peers)
        shake_hands(*reversed(self.peers))

    async def renew(self, peer: Peer) -> None:
        """Ask anew at half-life, and trust from then on what the last string of the answer holds."""
        if self.clock.now < peer.ask_at:
            return
        made = await self.signer.sign(peer.name, Identity("mesh.example", "a", peer.name))
        *chain, roots = made.chain
        (peer.folder / f"{peer.name}.pem").write_text(made.key + "".join(chain))
        (peer.folder / f"{peer.name}.roots").write_text(roots)
        earlier = self.hours_apart * HOUR if peer is self.peers[1] and not peer.not_after else 0
        peer.not_after, peer.ask_at = made.not_after, made.renew_at - earlier

    @property
    def bundle(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates((self.certs / "trust-bundle.pem").read_bytes())


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


def roots_of(files: dict[str, bytes]) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(files["root-cert.pem"])


@pytest.mark.parametrize("hours_apart", [0, 1, 6, 11])
async def test_no_handshake_fails_from_one_root_to_the_next(mesh: Mesh, hours_apart: int) -> None:
    old, new = plugged_in(), plugged_in(make("new root"))
    mesh.hours_apart = hours_apart
    put(mesh.certs, old)
    async with mesh.started():
        await mesh.pass_hours(5)
        assert mesh.bundle == roots_of(old)
        put(mesh.certs, new)
        await mesh.check()
        assert mesh.authority.signing.certificate_pem.encode() == old["ca-cert.pem"]
        assert set(mesh.bundle) == {*roots_of(old), *roots_of(new)}
        await mesh.pass_hours(24)
        assert mesh.authority.signing.certificate_pem.encode() == old["ca-cert.pem"]
        await mesh.pass_hours(1)
        assert mesh.authority.signing.certificate_pem.encode() == new["ca-cert.pem"]
        assert set(mesh.bundle) == {*roots_of(old), *roots_of(new)}
        await mesh.pass_hours(30)
        assert mesh.bundle == roots_of(new)


async def test_from_a_self_made_authority_to_a_plugged_in_one(mesh: Mesh) -> None:
    async with mesh.started():
        await mesh.pass_hours(2)
        (mesh.certs / "root-key.pem").unlink()
        put(mesh.certs, plugged_in())
        await mesh.pass_hours(56)
        assert len(mesh.bundle) == 1


@pytest.mark.parametrize("order", range(6))
async def test_files_that_come_one_by_one_are_taken_when_they_fit(mesh: Mesh, order: int) -> None:
    """In between, what is there fits together no more; clients are served from what was."""
    old, new = plugged_in(), plugged_in(make("new root"))
    put(mesh.certs, old)
    names = list(new)
    random.Random(order).shuffle(names)  # noqa: S311
    async with mesh.started():
        await mesh.check()
        for name in names[:-1]:
            put(mesh.certs, {name: new[name]})
            mesh.peers[0].ask_at = 0
            await mesh.pass_hours(1)
            assert mesh.authority.failure
        put(mesh.certs, {names[-1]: new[names[-1]]})
        await mesh.pass_hours(54)
        assert not mesh.authority.failure
        assert mesh.bundle == roots_of(new)


@pytest.mark.parametrize("down_at", [6, 20, 30, 40, 52])
async def test_a_restart_at_any_time_forgets_nothing(mesh: Mesh, down_at: int) -> None:
    old, new = plugged_in(), plugged_in(make("new root"))
    put(mesh.certs, old)
    async with mesh.started():
        await mesh.pass_hours(5)
        put(mesh.certs, new)
        await mesh.pass_hours(down_at - 5)
        before = mesh.authority.rotation
    async with mesh.started():
        assert mesh.authority.rotation == before
        await mesh.pass_hours(62 - down_at)
        assert mesh.bundle == roots_of(new)


async def test_files_dropped_while_the_server_is_down_take_as_long(mesh: Mesh) -> None:
    old, new = plugged_in(), plugged_in(make("new root"))
    put(mesh.certs, old)
    async with mesh.started():
        await mesh.pass_hours(5)
    put(mesh.certs, new)
    async with mesh.started():
        await mesh.pass_hours(3)
        assert mesh.authority.signing.certificate_pem.encode() == old["ca-cert.pem"]
        await mesh.pass_hours(52)
        assert mesh.bundle == roots_of(new)


async def test_taking_a_rotation_back_fails_no_handshake(mesh: Mesh) -> None:
    old, new = plugged_in(), plugged_in(make("new root"))
    put(mesh.certs, old)
    async with mesh.started():
        await mesh.pass_hours(5)
        put(mesh.certs, new)
        await mesh.pass_hours(30)
        put(mesh.certs, old)
        await mesh.pass_hours(60)
        assert mesh.bundle == roots_of(old)


def brought_today() -> dict[str, bytes]:
    """Return a set of files that is valid by the machine's clock."""
    now = datetime.now(UTC)
    shape = Shape(begin=now - timedelta(hours=1), end=now + timedelta(days=30))
    root = make("root of today", shape=shape)
    return istio_files(make("issuer of today", root, shape=shape), root)


@pytest.fixture
def offmesh(tmp_path: Path) -> Iterator[Offmesh]:
    conf = EXAMPLE / "cluster-conf.yaml"
    (tmp_path / "certs").mkdir()
    put(tmp_path / "certs", brought_today())
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as running:
        yield running


@pytest.fixture
def token(offmesh: Offmesh) -> str:
    return offmesh.token(ZTUNNEL, EXAMPLE / "mesh")


def create(offmesh: Offmesh, token: str) -> list[str]:
    """Return the chain of a new certificate."""
    answer = offmesh.secure_grpcurl(CREATE, {"csr": new_csr()}, token)
    chain: list[str] = json.loads(answer.stdout)["cert_chain"]
    return chain


@pytest.mark.xdist_group("rotation")
class TestARunningServer:
    def test_a_new_root_is_trusted_at_once_and_the_old_issuer_goes_on(
        self, offmesh: Offmesh, token: str, tmp_path: Path
    ) -> None:
        old, new = offmesh.root.read_text(), brought_today()
        _, issuer, _ = create(offmesh, token)
        (tmp_path / "old.pem").write_text(old)
        with offmesh.open_call(f"{SDS}/DeltaSecrets", token) as call:
            asked = {"node": {"id": "x"}, "type_url": SECRET}
            call.send({**asked, "resource_names_subscribe": ["ROOTCA"]})
            nonce, told = self.roots(call)
            assert told == old
            call.send({"type_url": SECRET, "response_nonce": nonce})
            put(offmesh.certs, new)
            _, both = self.roots(call)
        assert sorted(pem_blocks(both)) == sorted([old, new["root-cert.pem"].decode()])
        until_it_holds(offmesh.root, both)
        assert create(offmesh, token)[1:] == [issuer, both]
        # Who has only the old root is still answered, and may still trust the server.
        for roots in ("old.pem", "certs/trust-bundle.pem"):
            health = ["-d", "{}", offmesh.secure, "grpc.health.v1.Health/Check"]
            grpcurl("-cacert", str(tmp_path / roots), *health)

    def roots(self, call: OpenCall) -> tuple[str, str]:
        """Return the nonce and the roots of the next response."""
        response = call.receive()
        (item,) = response["resources"]
        trusted = item["resource"]["validation_context"]["trusted_ca"]["inline_bytes"]
        return response["nonce"], base64.b64decode(trusted).decode()

    def test_it_serves_from_what_it_has_while_the_files_do_not_fit(
        self, offmesh: Offmesh, token: str
    ) -> None:
        before, new = create(offmesh, token)[1:], brought_today()
        put(offmesh.certs, {"ca-key.pem": new["ca-key.pem"]})
        until_it_holds(offmesh.log, "the certificate authority keeps what it has: ca-key.pem: ")
        assert create(offmesh, token)[1:] == before
        assert new["ca-key.pem"].decode().splitlines()[1] not in offmesh.log.read_text()
        put(offmesh.certs, new)
        until_it_holds(offmesh.log, "the certificate authority's files are in order again")
        assert create(offmesh, token)[1] == before[0]

    def test_a_restart_goes_on_with_both_roots(self, offmesh: Offmesh, token: str, tmp_path: Path) -> None:
        new = brought_today()
        put(offmesh.certs, new)
        until_it_holds(offmesh.root, new["root-cert.pem"].decode())
        before = create(offmesh, token)[1:]
        assert offmesh.stop() == 0
        conf = EXAMPLE / "cluster-conf.yaml"
        with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as again:
            assert create(again, token)[1:] == before


def pem_blocks(text: str) -> list[str]:
    end = "-----END CERTIFICATE-----\n"
    return [block + end for block in text.split(end)[:-1]]


def until_it_holds(file: Path, text: str) -> None:
    """Wait for a server to write something; one that never does lets the test time out."""
    while text not in file.read_text():
        time.sleep(0.02)
