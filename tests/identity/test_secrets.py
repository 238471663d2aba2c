"""Secrets that are followed: made once, renewed in time, given and taken with the right to them."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.helpers.authorities import FixedAuthority
from xds_server.exceptions import DeniedError, LimitError
from xds_server.identity.audit import Audit, Way
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.secrets import ROOTS, Secrets
from xds_server.identity.signing.signer import Signer
from xds_server.identity.spiffe import Identity, parse_identity
from xds_server.protobuf.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from xds_server.settings import IdentitySettings

WEB = "spiffe://cluster.local/ns/shop/sa/web"
ZTUNNEL = Identity("cluster.local", "istio-system", "ztunnel")
CALLER = Caller(
    identity=ZTUNNEL, proof=Proof.TOKEN, expires_at=9e9, pod=BoundPod("istio-system/z", "1"), node="dpu"
)


class Rights:
    """An authorizer that grants a set of names."""

    def __init__(self, *granted: str) -> None:
        self.granted = {str(ZTUNNEL), *granted}

    def authorize(self, _caller: Caller, wanted: str) -> Identity:
        if wanted not in self.granted:
            raise DeniedError(f"{wanted} is not yours")
        return parse_identity(wanted)


class Parts:
    """What the tests hold of a running store of secrets."""

    def __init__(self, *granted: str) -> None:
        self.now = float(int(time.time()))
        self.rights = Rights(*granted)
        self.authority = FixedAuthority(self.now)
        self.signer = Signer(self.authority, IdentitySettings(), clock=lambda: self.now)
        self.audit = Audit()
        self.secrets = Secrets(self.rights, self.signer, self.audit, lambda: self.now)


class Followed:
    """What one follower was given, in order."""

    def __init__(self) -> None:
        self.given: list[bytes | None] = []
        self._more = asyncio.Event()

    def put(self, body: bytes | None) -> None:
        self.given.append(body)
        self._more.set()

    async def reach(self, count: int) -> Secret | None:
        """Wait for so many; return the last."""
        while len(self.given) < count:
            self._more.clear()
            await self._more.wait()
        body = self.given[count - 1]
        return Secret.FromString(body) if body is not None else None


@asynccontextmanager
async def running(*granted: str) -> AsyncIterator[Parts]:
    parts = Parts(*granted)
    task = asyncio.create_task(parts.signer.run())
    try:
        yield parts
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def _following(parts: Parts, name: str) -> AsyncIterator[Followed]:
    followed = Followed()
    task = asyncio.create_task(parts.secrets.follow(CALLER, name, followed.put))
    try:
        yield followed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def following(parts: Parts, name: str = WEB) -> AbstractAsyncContextManager[Followed]:
    return _following(parts, name)


def leaf_of(secret: Secret | None) -> x509.Certificate:
    assert secret is not None
    return x509.load_pem_x509_certificates(secret.tls_certificate.certificate_chain.inline_bytes)[0]


async def test_a_secret_is_a_key_with_its_chain_and_without_the_roots() -> None:
    async with running(WEB) as parts, following(parts) as followed:
        secret = await followed.reach(1)
    assert secret is not None
    assert secret.name == WEB
    chain = x509.load_pem_x509_certificates(secret.tls_certificate.certificate_chain.inline_bytes)
    assert len(chain) == 2
    chain[0].verify_directly_issued_by(chain[1])
    key = load_pem_private_key(secret.tls_certificate.private_key.inline_bytes, None)
    assert key.public_key() == chain[0].public_key()


async def test_default_is_the_callers_own_identity() -> None:
    async with running() as parts, following(parts, "default") as followed:
        secret = await followed.reach(1)
    names = leaf_of(secret).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(ZTUNNEL)]
    assert secret is not None
    assert secret.name == "default"


async def test_the_roots_need_no_right_and_follow_the_authority() -> None:
    async with running() as parts, following(parts, ROOTS) as followed:
        first = await followed.reach(1)
        assert first is not None
        assert first.validation_context.trusted_ca.inline_bytes.decode() == parts.authority.trust_bundle
        parts.authority.signing = FixedAuthority(parts.now).signing
        parts.secrets.receive_authority()
        second = await followed.reach(2)
        assert second is not None
        assert second.validation_context.trusted_ca.inline_bytes.decode() == parts.authority.trust_bundle


async def test_all_followers_of_an_identity_share_one_certificate() -> None:
    async with running(WEB) as parts, following(parts) as one, following(parts) as two:
        assert leaf_of(await one.reach(1)) == leaf_of(await two.reach(1))
        assert parts.signer.signed == 1


async def test_a_secret_lives_while_it_is_followed_and_no_longer() -> None:
    async with running(WEB) as parts:
        async with following(parts) as followed:
            first = leaf_of(await followed.reach(1))
        async with following(parts) as followed:
            assert leaf_of(await followed.reach(1)) != first


async def test_a_secret_is_renewed_at_half_of_its_life() -> None:
    async with running(WEB) as parts, following(parts) as followed:
        first = leaf_of(await followed.reach(1))
        for elapsed, renewed in ((43_000, False), (44_000, True)):
            parts.now = first.not_valid_before_utc.timestamp() + elapsed
            parts.secrets.receive_rights(None)
            await asyncio.sleep(0.05)
            assert (len(followed.given) > 1) is renewed
        assert leaf_of(await followed.reach(2)) != first


async def test_a_rotation_makes_every_secret_anew_with_the_new_issuer() -> None:
    async with running(WEB) as parts, following(parts) as followed:
        await followed.reach(1)
        parts.authority.signing = FixedAuthority(parts.now).signing
        parts.secrets.receive_authority()
        issuer = x509.load_pem_x509_certificate(parts.authority.signing.certificate_pem.encode())
        leaf_of(await followed.reach(2)).verify_directly_issued_by(issuer)


async def test_what_is_denied_is_given_as_nothing_until_it_is_granted() -> None:
    async with running() as parts, following(parts) as followed:
        assert await followed.reach(1) is None
        parts.rights.granted.add(WEB)
        parts.secrets.receive_rights(["shop/web"])
        assert await followed.reach(2) is not None
        parts.rights.granted.remove(WEB)
        parts.secrets.receive_rights(["shop/web"])
        assert await followed.reach(3) is None


async def test_a_right_that_comes_back_brings_a_secret_again() -> None:
    async with running(WEB) as parts, following(parts) as followed:
        await followed.reach(1)
        parts.rights.granted.remove(WEB)
        parts.secrets.receive_rights(None)
        await followed.reach(2)
        parts.rights.granted.add(WEB)
        parts.secrets.receive_rights(None)
        assert await followed.reach(3) is not None


async def test_changes_of_other_accounts_wake_nobody() -> None:
    async with running(WEB) as parts, following(parts) as followed:
        await followed.reach(1)
        parts.rights.granted.clear()
        parts.secrets.receive_rights(["shop/other", "istio-system/web"])
        await asyncio.sleep(0.05)
        assert len(followed.given) == 1


@pytest.mark.parametrize("name", ["", "spiffe://cluster.local/ns/shop/sa/../admin", "ROOTCA ", "x" * 5_000])
async def test_a_name_that_is_no_identity_is_denied(name: str) -> None:
    async with running(WEB) as parts, following(parts, name) as followed:
        assert await followed.reach(1) is None


async def test_each_grant_and_each_denial_is_counted_once() -> None:
    async with (
        running(WEB) as parts,
        following(parts) as followed,
        following(parts, "spiffe://x/ns/a/sa/b") as other,
    ):
        await followed.reach(1)
        await other.reach(1)
        parts.secrets.receive_rights(None)
        await asyncio.sleep(0.05)
        assert parts.audit.outcomes == {(Way.SECRET, "granted"): 1, (Way.SECRET, "denied"): 1}


async def test_signing_that_is_overloaded_delays_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.identity.secrets._RETRY_SECONDS", 0.01)
    async with running(WEB) as parts:
        sign, tries = parts.signer.sign, []

        async def busy(*arguments: object, **more: object) -> object:
            tries.append(1)
            if len(tries) < 3:
                raise LimitError("too much")
            return await sign(*arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(parts.signer, "sign", busy)
        async with following(parts) as followed:
            assert await followed.reach(1) is not None
        assert len(tries) == 3


async def test_once_makes_a_secret_that_is_not_kept() -> None:
    async with running(WEB) as parts:
        one = await parts.secrets.once(CALLER, WEB)
        two = await parts.secrets.once(CALLER, WEB)
        assert one != two
        with pytest.raises(DeniedError):
            await parts.secrets.once(CALLER, "spiffe://cluster.local/ns/shop/sa/other")


async def test_a_secret_goes_when_the_callers_proof_ends() -> None:
    async with running(WEB) as parts:
        followed = Followed()
        caller = dataclasses.replace(CALLER, expires_at=parts.now + 60)
        following_it = asyncio.create_task(parts.secrets.follow(caller, WEB, followed.put))
        assert await followed.reach(1) is not None
        parts.now += 60
        parts.secrets.receive_rights(None)
        assert await followed.reach(2) is None
        with pytest.raises(DeniedError, match=r"the token of .* has expired"):
            await parts.secrets.once(caller, WEB)
        following_it.cancel()
        await asyncio.wait([following_it])
