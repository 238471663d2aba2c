"""
Secrets that are followed: certificates with keys made here, and the roots to trust.

Theory
1. A follower keeps one name: it is given the secret, or None while it may not have it, and again
   whenever that changes: at half of a certificate's life, with another issuer or bundle, when its
   right comes or goes. Rights are asked anew each time, never remembered.
2. All followers of an identity share one key and certificate. It lives while somebody follows it,
   in memory alone.
3. What wakes a follower is named: a change of pods wakes those of their accounts, so a pod's event
   costs nothing to the followers of others.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from xds_server.exceptions import DeniedError, InputError, LimitError
from xds_server.identity.audit import Audit, Way
from xds_server.identity.authorization import Rights
from xds_server.identity.caller import Caller
from xds_server.identity.signing.signer import Certificate, Signer
from xds_server.identity.spiffe import Identity, parse_identity
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import DataSource
from xds_server.protobuf.envoy.extensions.transport_sockets.tls.v3 import secret_pb2 as api
from xds_server.protobuf.envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    TlsCertificate,
)

ROOTS = "ROOTCA"
OWN = "default"
# A clock that is set must not postpone a renewal by much.
_LONGEST_SLEEP_SECONDS = 60.0
_RETRY_SECONDS = 2.0

Put = Callable[[bytes | None], None]

log = logging.getLogger(__name__)


class Secrets:
    """Makes secrets for those who follow them, and keeps them valid."""

    def __init__(
        self,
        rights: Rights,
        signer: Signer,
        audit: Audit,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rights = rights
        self._signer = signer
        self._audit = audit
        self._clock = clock
        self._held: dict[str, Certificate] = {}
        self._making: dict[str, asyncio.Task[Certificate]] = {}
        self._followers: Counter[str] = Counter()
        self._changes: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """What wakes followers. Like all before it by account; an event is used once."""

    def receive_authority(self) -> None:
        """Take note that issuer or roots have changed: everything is made anew."""
        self._held.clear()
        self._making.clear()
        self._wake(tuple(self._changes))

    def receive_rights(self, accounts: Iterable[str] | None) -> None:
        """Take note that the rights to identities of these accounts may have changed; None means of all."""
        self._wake(tuple(self._changes) if accounts is None else accounts)

    def _wake(self, accounts: Iterable[str]) -> None:
        for account in accounts:
            changed = self._changes.pop(account, None)
            if changed is not None:
                changed.set()

    def identity_of(self, caller: Caller, name: str) -> Identity:
        """
        Return the identity a name stands for.

        Raises:
            DeniedError: the caller may not have it, or what it proved itself by has ended.

        """
        if self._clock() >= caller.expires_at:
            raise DeniedError(f"the {caller.proof} of {caller.identity} has expired")
        return self._rights.authorize(caller, str(caller.identity) if name == OWN else name)

    async def once(self, caller: Caller, name: str) -> bytes:
        """
        Make the present secret of a name.

        Raises:
            DeniedError: the caller may not have it.
            LimitError: signing is overloaded.
            InputError: the authority cannot sign.

        """
        if name == ROOTS:
            return self._roots()
        try:
            identity = self.identity_of(caller, name)
        except DeniedError as error:
            self._audit.denied(Way.SECRET, caller, name, str(error))
            raise
        certificate = self._valid(identity) or await self._signer.sign(caller.key, identity)
        self._audit.granted(Way.SECRET, caller, certificate)
        return _encode(name, certificate)

    async def follow(self, caller: Caller, name: str, put: Put) -> None:
        """Give ``put`` the secret of a name, and again at every change, for ever."""
        account = ROOTS if name == ROOTS else _account_of(caller, name)
        self._followers[account] += 1
        try:
            if name == ROOTS:
                await self._follow_roots(put)
            await self._follow(caller, name, account, put)
        finally:
            self._followers[account] -= 1
            if not self._followers[account]:
                del self._followers[account]
                self._held.pop(account, None)
                self._changes.pop(account, None)

    async def _follow(self, caller: Caller, name: str, account: str, put: Put) -> None:
        held: Certificate | None = None
        reason = ""
        while True:
            changed = self._changes[account]
            pause = _LONGEST_SLEEP_SECONDS
            try:
                certificate = await self._certificate(caller, self.identity_of(caller, name))
                if certificate is not held:
                    held, reason = certificate, ""
                    self._audit.granted(Way.SECRET, caller, certificate)
                    put(_encode(name, certificate))
                pause = min(pause, min(certificate.renew_at, caller.expires_at) - self._clock())
            except DeniedError as error:
                if str(error) != reason:
                    held, reason = None, str(error)
                    self._audit.denied(Way.SECRET, caller, name, reason)
                    put(None)
            except (LimitError, InputError) as error:
                log.warning("the secret %.200r waits: %s", name, error)
                pause = _RETRY_SECONDS
            await _wait(changed, pause)

    async def _follow_roots(self, put: Put) -> None:
        while True:
            changed = self._changes[ROOTS]
            put(self._roots())
            await changed.wait()

    def _roots(self) -> bytes:
        bundle = DataSource(inline_bytes=self._signer.trust_bundle.encode())
        context = CertificateValidationContext(trusted_ca=bundle)
        return api.Secret(name=ROOTS, validation_context=context).SerializeToString(deterministic=True)

    async def _certificate(self, caller: Caller, identity: Identity) -> Certificate:
        """Return the shared certificate of an identity, made or renewed if need be, once for all who wait."""
        held = self._valid(identity)
        if held is not None:
            return held
        account = identity.account
        making = self._making.get(account)
        if making is None or making.done():
            making = self._making[account] = asyncio.create_task(self._signer.sign(caller.key, identity))
            # Whoever waits is told of a failure; perhaps nobody waits any more.
            making.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            certificate = await asyncio.shield(making)
        finally:
            current = self._making.get(account) is making
            if current and making.done():
                del self._making[account]
        if current:
            self._held[account] = certificate
        return certificate

    def _valid(self, identity: Identity) -> Certificate | None:
        held = self._held.get(identity.account)
        return held if held is not None and self._clock() < held.renew_at else None


def _account_of(caller: Caller, name: str) -> str:
    """Return whose pods' changes matter to a name; one that is no identity is never granted."""
    try:
        return caller.identity.account if name == OWN else parse_identity(name).account
    except InputError:
        return ""


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await changed.wait()
    except TimeoutError:
        return


def _encode(name: str, certificate: Certificate) -> bytes:
    # The roots are a secret of their own.
    chain = "".join(certificate.chain[:-1]).encode()
    pair = TlsCertificate(
        certificate_chain=DataSource(inline_bytes=chain),
        private_key=DataSource(inline_bytes=certificate.key.encode()),
    )
    return api.Secret(name=name, tls_certificate=pair).SerializeToString(deterministic=True)
