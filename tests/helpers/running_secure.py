"""A secure port on a free port of loopback, with callers that tests name."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.helpers.authorities import FixedAuthority
from xds_server.catalog.catalog import Catalog
from xds_server.exceptions import DeniedError, UnauthenticatedError
from xds_server.identity.audit import Audit
from xds_server.identity.authenticator import Authenticator
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.secrets import Secrets
from xds_server.identity.server_certificate import ServerCertificate
from xds_server.identity.signing.signer import Signer
from xds_server.identity.spiffe import Identity, parse_identity
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.sessions.clients import Clients
from xds_server.settings import IdentitySettings, StreamSettings
from xds_server.transport.ads import AggregatedDiscoveryService
from xds_server.transport.authentication import Authentication
from xds_server.transport.certificate_service import CertificateService
from xds_server.transport.fetch_secrets import SecretFetch
from xds_server.transport.secure_port import SecurePort

WEB = "spiffe://cluster.local/ns/shop/sa/web"


class Tokens:
    """Believes ``namespace/account`` as a token of that account's pod."""

    async def authenticate(self, token: str) -> TokenClaims:
        namespace, slash, account = token.partition("/")
        if not slash:
            raise UnauthenticatedError("the token is not believed")
        return TokenClaims(namespace, account, BoundPod(f"{namespace}/{account}-1", "1"), 9e9)


class Rights:
    """Grants everybody its own identity, and ztunnel what ``granted`` holds."""

    def __init__(self) -> None:
        self.granted = {WEB}

    def authenticate_pod(self, claims: Any) -> Caller:
        identity = Identity("cluster.local", claims.namespace, claims.service_account)
        return Caller(identity=identity, proof=Proof.TOKEN, expires_at=9e9, pod=claims.pod, node="dpu")

    def authenticate_certificate(self, identity: Identity, expires_at: float) -> Caller:
        return Caller(identity=identity, proof=Proof.CERTIFICATE, expires_at=expires_at)

    def authorize(self, caller: Caller, wanted: str) -> Identity:
        node_account = caller.pod is not None and caller.identity.service_account == "ztunnel"
        if wanted == str(caller.identity) or (node_account and wanted in self.granted):
            return parse_identity(wanted)
        raise DeniedError(f"{wanted[:200]} is not yours")


class RunningSecure:
    """Everything behind the port, in the test's hands."""

    def __init__(self, **settings: Any) -> None:
        self.settings = StreamSettings(**settings)
        self.authority = FixedAuthority()
        self.rights = Rights()
        self.catalog = Catalog()
        self.clients = Clients()
        self.audit = Audit()
        self.signer = Signer(self.authority, IdentitySettings())
        self.secrets = Secrets(self.rights, self.signer, self.audit)
        self.ads = AggregatedDiscoveryService(self.catalog, self.clients, self.settings, self.secrets)
        self.certificate = ServerCertificate(self.authority, ("localhost", "127.0.0.1"), 120)
        authenticator = Authenticator(Tokens(), self.rights)
        self.port = SecurePort(authenticator, self.settings, self.handlers)
        self.address = ""

    def handlers(self, authentication: Authentication) -> list[grpc.GenericRpcHandler]:
        certificates = CertificateService(self.rights, self.signer, self.audit)
        return [
            *self.ads.handlers(authentication),
            certificates.handler(authentication),
            SecretFetch(self.secrets).handler(authentication),
        ]

    def channel(self, key: str = "", chain: str = "") -> grpc.aio.Channel:
        """Open a connection of its own, with a client certificate if there is one."""
        pair = (key.encode(), chain.encode()) if key else (None, None)
        credentials = grpc.ssl_channel_credentials(self.authority.trust_bundle.encode(), *pair)
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.secure_channel(self.address, credentials, options=options)

    def context(self, folder: Path) -> ssl.SSLContext:
        """Make what a plain TLS client connects with."""
        roots = folder / "roots.pem"
        roots.write_text(self.authority.trust_bundle)
        context = ssl.create_default_context(cafile=str(roots))
        context.set_alpn_protocols(["h2"])
        return context


@asynccontextmanager
async def running_secure(*, front: bool = True, **settings: Any) -> AsyncIterator[RunningSecure]:
    under_test = RunningSecure(drain_seconds=0.0, **settings)
    port, certificate = under_test.port, under_test.certificate
    if front:
        start = port.start_front("127.0.0.1:0", certificate, lambda: under_test.authority.trust_bundle)
    else:
        start = port.start("127.0.0.1:0", certificate)
    under_test.address = await start
    under_test.ads.ready.set()
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(under_test.ads.publisher.run()),
            tasks.create_task(under_test.signer.run()),
        ]
        try:
            yield under_test
        finally:
            await asyncio.gather(port.server.stop(1.0), under_test.ads.drain(0.0))
            await port.close()
            for task in running:
                task.cancel()
