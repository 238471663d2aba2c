"""A Kubernetes API server that only speaks of tokens: real HTTPS, a real kubeconfig, answers as told."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.helpers.tokens import CLUSTER_ISSUER, accepted, jwk
from tests.helpers.tokens import ec_key as signing_key

CREDENTIAL = "credential-of-the-server"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class FakeApiServer:
    """``answer``, when set, replaces every answer; ``requests`` are those that came."""

    kubeconfig: Path
    answer: Answer | None = None
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    credentials: set[str] = field(default_factory=set)
    stop: Callable[[], Awaitable[None]] | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body: Any = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, body))
        self.credentials.add(request.headers.get("Authorization", ""))
        if self.answer is not None:
            return await self.answer(request)
        if request.path == "/.well-known/openid-configuration":
            return web.json_response(
                {"issuer": CLUSTER_ISSUER, "jwks_uri": "https://10.0.0.1/openid/v1/jwks"}
            )
        if request.path == "/openid/v1/jwks":
            if request.headers["Accept"] != "application/jwk-set+json":
                return web.Response(status=406)
            return web.json_response({"keys": [jwk("first", signing_key())]})
        return web.json_response({**body, "status": accepted()}, status=201)


def answering(status: int, body: str | bytes, content_type: str = "application/json") -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        content = body.encode() if isinstance(body, str) else body
        return web.Response(status=status, body=content, content_type=content_type)

    return answer


def hanging(release: asyncio.Event) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    return answer


def breaking_off(text: bytes) -> Answer:
    """Promise more than is sent, and end the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(text) + 100)})
        await response.prepare(request)
        await response.write(text)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[FakeApiServer]:
    """Serve on a free port of loopback until the block ends."""
    context = _certificates(folder)
    fake = FakeApiServer(folder / "kubeconfig")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", fake.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    fake.stop = site.stop
    host, port = runner.addresses[0][:2]
    fake.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"https://{host}:{port}", folder / "ca.pem")))
    try:
        yield fake
    finally:
        await runner.cleanup()


def _kubeconfig(server: str, authority: Path) -> dict[str, Any]:
    good = {"name": "good", "cluster": {"server": server, "certificate-authority": str(authority)}}
    doubted = {"name": "doubted", "cluster": {"server": server}}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [good, doubted],
        "users": [{"name": "offmesh", "user": {"token": CREDENTIAL}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "offmesh"}} for name in ("good", "doubted")
        ],
        "current-context": "good",
    }


def _certificates(folder: Path) -> ssl.SSLContext:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("a cluster's CA", authority_key, authority_key, is_authority=True)
    leaf = _certificate("a cluster's CA", key, authority_key, is_authority=False)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(
        leaf.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context


def _certificate(
    issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, *, is_authority: bool
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
    subject = name if is_authority else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return (
        x509.CertificateBuilder(name, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(loopback, critical=False)
        .sign(signer, hashes.SHA256())
    )
