"""What the signer issues, how long it lives, and what becomes of too many requests."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.helpers.authorities import FixedAuthority, new_csr
from xds_server.exceptions import InputError, LimitError, PeerError
from xds_server.identity.signing.signer import Certificate, Signer
from xds_server.identity.spiffe import Identity
from xds_server.settings import IdentitySettings

WEB = Identity("cluster.local", "shop", "web")
DAY = 86_400


@asynccontextmanager
async def kept_running(signer: Signer) -> AsyncIterator[Signer]:
    running = asyncio.create_task(signer.run())
    try:
        yield signer
    finally:
        running.cancel()
        await asyncio.wait([running])


def running_signer(
    authority: FixedAuthority | None = None, **more: Any
) -> AbstractAsyncContextManager[Signer]:
    return kept_running(Signer(authority or FixedAuthority(), IdentitySettings(), **more))


def leaf_of(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.chain[0].encode())


async def test_the_chain_is_leaf_then_issuers_then_all_roots() -> None:
    authority = FixedAuthority()
    async with running_signer(authority) as signer:
        issued = await signer.sign("a", WEB, new_csr())
    assert issued.chain[1:] == (authority.signing.certificate_pem, authority.trust_bundle)
    for text in issued.chain:
        assert text.startswith("-----BEGIN CERTIFICATE-----\n")
        assert text.endswith("-----END CERTIFICATE-----\n")
    leaf, issuer, root = (x509.load_pem_x509_certificate(text.encode()) for text in issued.chain)
    leaf.verify_directly_issued_by(issuer)
    issuer.verify_directly_issued_by(root)
    assert f"{leaf.serial_number:x}" == issued.serial


async def test_the_certificate_is_the_template() -> None:
    """Everything but key, serial number and times is the same whatever the CSR asks for."""
    asks = [
        new_csr(uri="spiffe://evil/ns/kube-system/sa/admin"),
        new_csr(rsa.generate_private_key(65537, 2048), uri=""),
        new_csr(None, x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.3")])),
        new_csr(None, x509.IssuerAlternativeName([x509.DNSName("istiod.istio-system.svc")])),
    ]
    authority = FixedAuthority()
    async with running_signer(authority) as signer:
        leaves = [leaf_of(await signer.sign("a", WEB, csr)) for csr in asks]
    for leaf in leaves:
        assert leaf.subject == x509.Name([])
        assert leaf.version is x509.Version.v3
        extensions = {extension.oid: extension for extension in leaf.extensions}
        assert [(e.oid._name, e.critical) for e in leaf.extensions] == [
            ("keyUsage", True),
            ("extendedKeyUsage", False),
            ("basicConstraints", True),
            ("authorityKeyIdentifier", False),
            ("subjectAltName", True),
        ]
        names = extensions[x509.SubjectAlternativeName.oid].value
        assert list(names) == [x509.UniformResourceIdentifier("spiffe://cluster.local/ns/shop/sa/web")]
        assert extensions[x509.BasicConstraints.oid].value == x509.BasicConstraints(False, None)
        usage = extensions[x509.KeyUsage.oid].value
        assert usage.digital_signature
        assert not usage.key_cert_sign
        purposes = {purpose._name for purpose in extensions[x509.ExtendedKeyUsage.oid].value}
        assert purposes == {"serverAuth", "clientAuth"}
    encoded = {b"".join(e.value.public_bytes() for e in leaf.extensions) for leaf in leaves}
    assert len(encoded) == 1
    assert len({leaf.serial_number for leaf in leaves}) == len(leaves)


@pytest.mark.parametrize(("asked", "given"), [(0, DAY), (DAY, DAY), (1, 1), (3_600, 3_600)])
async def test_it_lives_as_long_as_was_asked_and_is_back_dated(asked: int, given: int) -> None:
    now = float(int(time.time()))
    async with running_signer(FixedAuthority(now), clock=lambda: now) as signer:
        leaf = leaf_of(await signer.sign("a", WEB, new_csr(), asked))
    assert leaf.not_valid_after_utc.timestamp() == now + given
    assert leaf.not_valid_before_utc.timestamp() == now - 120


@pytest.mark.parametrize("asked", [DAY + 1, -1, 10 * 365 * DAY, -(1 << 63), (1 << 63) - 1])
async def test_a_lifetime_beyond_the_limit_is_refused(asked: int) -> None:
    async with running_signer() as signer:
        with pytest.raises(PeerError, match="validity_duration"):
            await signer.sign("a", WEB, new_csr(), asked)


async def test_no_certificate_outlives_its_issuer() -> None:
    authority = FixedAuthority()
    before_the_end = authority.signing.not_after - 60
    async with running_signer(authority, clock=lambda: before_the_end) as signer:
        leaf = leaf_of(await signer.sign("a", WEB, new_csr()))
    assert leaf.not_valid_after_utc.timestamp() == authority.signing.not_after


async def test_an_expired_issuer_signs_nothing() -> None:
    authority = FixedAuthority()
    async with running_signer(authority, clock=lambda: authority.signing.not_after + 1) as signer:
        with pytest.raises(InputError, match="expired"):
            await signer.sign("a", WEB, new_csr())


async def test_the_next_request_is_signed_by_the_issuer_then_in_force() -> None:
    authority = FixedAuthority()
    async with running_signer(authority) as signer:
        before = await signer.sign("a", WEB, new_csr())
        authority.signing = FixedAuthority().signing
        after = await signer.sign("a", WEB, new_csr())
    for issued in (before, after):
        issuer = x509.load_pem_x509_certificate(issued.chain[1].encode())
        leaf_of(issued).verify_directly_issued_by(issuer)
    assert before.chain[1] != after.chain[1]


async def test_without_a_csr_the_key_is_made_too_and_never_shown() -> None:
    async with running_signer() as signer:
        issued = await signer.sign("a", WEB)
        other = await signer.sign("a", WEB)
    key = load_pem_private_key(issued.key.encode(), None)
    assert key.public_key() == leaf_of(issued).public_key()
    assert issued.key != other.key
    assert "PRIVATE" not in repr(issued)


async def test_a_hostile_csr_harms_its_caller_alone() -> None:
    async with running_signer() as signer:
        good, bad, again = await asyncio.gather(
            signer.sign("a", WEB, new_csr()),
            signer.sign("b", WEB, new_csr(ec.generate_private_key(ec.SECP521R1()))),
            signer.sign("b", WEB, new_csr()),
            return_exceptions=True,
        )
    assert isinstance(good, Certificate)
    assert isinstance(bad, PeerError)
    assert isinstance(again, Certificate)


async def test_what_waits_too_long_is_told_so() -> None:
    signer = Signer(FixedAuthority(), IdentitySettings())
    with pytest.raises(LimitError, match=r"0\.01 s"):
        await signer.sign("a", WEB, new_csr(), within=0.01)


async def test_what_nobody_waits_for_is_not_signed() -> None:
    signer = Signer(FixedAuthority(), IdentitySettings())
    for _ in range(3):
        with pytest.raises(LimitError):
            await signer.sign("a", WEB, new_csr(), within=0.01)
    async with kept_running(signer):
        await signer.sign("a", WEB, new_csr())
    assert signer.signed == 1


async def test_a_full_queue_refuses_at_once() -> None:
    signer = Signer(FixedAuthority(), IdentitySettings())
    waiting = [asyncio.create_task(signer.sign("a", WEB, new_csr())) for _ in range(2_048)]
    await asyncio.sleep(0)
    with pytest.raises(LimitError, match="of this caller"):
        await signer.sign("a", WEB, new_csr())
    other = asyncio.create_task(signer.sign("b", WEB, new_csr()))
    await asyncio.sleep(0)
    assert not other.done()
    for task in (*waiting, other):
        task.cancel()
    await asyncio.gather(*waiting, other, return_exceptions=True)


async def test_a_signing_process_that_dies_is_replaced() -> None:
    async with running_signer() as signer:
        await signer.sign("a", WEB, new_csr())
        child = signer._processes[0]._process
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        issued = await signer.sign("a", WEB, new_csr())
    assert issued.serial


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1])
async def test_the_hash_fits_the_issuer(curve: type[ec.EllipticCurve]) -> None:
    authority = FixedAuthority(curve=curve)
    async with running_signer(authority) as signer:
        leaf = leaf_of(await signer.sign("a", WEB, new_csr()))
    expected = hashes.SHA384 if curve is ec.SECP384R1 else hashes.SHA256
    assert isinstance(leaf.signature_hash_algorithm, expected)
