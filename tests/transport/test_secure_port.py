"""The secure port in both of its ways: who gets in, and what limits hold before and after."""

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from tests.helpers.authorities import FixedAuthority, key_pem, new_csr, new_key
from tests.helpers.running_secure import WEB, RunningSecure, running_secure
from xds_server.catalog.resource import ADDRESS
from xds_server.identity.spiffe import parse_identity
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds
from xds_server.protobuf.security.v1alpha1.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from xds_server.transport import certificate_service
from xds_server.transport.ads import SERVICE

ZTUNNEL = (("authorization", "Bearer istio-system/ztunnel"),)
BOTH = pytest.mark.parametrize("front", [True, False], ids=["TLS before gRPC", "TLS by gRPC"])


async def create(channel: grpc.aio.Channel, token: str = "", wanted: str = "", **fields: Any) -> Any:
    """Ask for a certificate; return the chain, or the status as an error."""
    call = channel.unary_unary(
        f"/{certificate_service.SERVICE}/CreateCertificate",
        request_serializer=IstioCertificateRequest.SerializeToString,
        response_deserializer=IstioCertificateResponse.FromString,
    )
    request = IstioCertificateRequest(**{"csr": new_csr(), **fields})
    if wanted:
        request.metadata.update({"ImpersonatedIdentity": wanted})
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    return (await call(request, metadata=metadata)).cert_chain


async def refusal(asked: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asked
    return refused.value.code(), refused.value.details() or ""


def identity_of(pem: str) -> list[str]:
    leaf = x509.load_pem_x509_certificate(pem.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def streams(channel: grpc.aio.Channel, method: str = f"{SERVICE}/DeltaAggregatedResources") -> Any:
    return channel.stream_stream(
        f"/{method}",
        request_serializer=xds.DeltaDiscoveryRequest.SerializeToString,
        response_deserializer=xds.DeltaDiscoveryResponse.FromString,
    )


def node(namespace: str = "istio-system", **metadata: str) -> Node:
    made = Node(id=f"ztunnel~10.0.0.1~z.{namespace}~{namespace}.svc.cluster.local")
    made.metadata.update(metadata)
    return made


@BOTH
async def test_a_token_gets_what_its_pod_may_have(front: bool) -> None:
    async with running_secure(front=front) as server, server.channel() as channel:
        chain = await create(channel, "istio-system/ztunnel", WEB)
        assert identity_of(chain[0]) == [WEB]
        assert chain[-1] == server.authority.trust_bundle
        assert identity_of((await create(channel, "shop/web"))[0]) == [WEB]


@BOTH
async def test_what_is_not_its_own_is_denied(front: bool) -> None:
    async with running_secure(front=front) as server, server.channel() as channel:
        code, told = await refusal(create(channel, "shop/web", "spiffe://cluster.local/ns/shop/sa/other"))
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "is not yours" in told


@BOTH
@pytest.mark.parametrize(("token", "told"), [("", "no token"), ("nonsense", "not believed")])
async def test_who_proves_nothing_is_told_what_is_expected(front: bool, token: str, told: str) -> None:
    async with running_secure(front=front) as server, server.channel() as channel:
        code, details = await refusal(create(channel, token))
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert told in details
        call = streams(channel)(metadata=(("authorization", f"Bearer {token}"),) if token else ())
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"csr": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"csr": "hello"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"csr": "x" * (1 << 20)}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"validity_duration": 86_401}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"validity_duration": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"metadata": {"CertSigner": "other"}}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_request_that_cannot_be_granted_names_the_fault(
    fields: dict[str, Any], code: grpc.StatusCode
) -> None:
    async with running_secure() as server, server.channel() as channel:
        assert (await refusal(create(channel, "shop/web", **fields)))[0] is code


async def test_a_certificate_of_the_mesh_proves_its_identity_and_no_node() -> None:
    async with running_secure() as server:
        key = new_key()
        async with server.channel() as channel:
            own = await create(channel, "istio-system/ztunnel", csr=new_csr(key))
        async with server.channel(key_pem(key), "".join(own[:-1])) as channel:
            again = await create(channel)
            assert identity_of(again[0]) == ["spiffe://cluster.local/ns/istio-system/sa/ztunnel"]
            assert (await refusal(create(channel, wanted=WEB)))[0] is grpc.StatusCode.PERMISSION_DENIED
            # A token says more, so it counts.
            assert identity_of((await create(channel, "shop/web"))[0]) == [WEB]


async def test_a_certificate_of_another_mesh_ends_the_handshake() -> None:
    async with running_secure() as server:
        key, other = new_key(), RunningSecure()
        running = asyncio.create_task(other.signer.run())
        stranger = await other.signer.sign("a", parse_identity(WEB), csr=new_csr(key))
        running.cancel()
        await asyncio.wait([running])
        async with server.channel(key_pem(key), "".join(stranger.chain[:-1])) as channel:
            code, _ = await refusal(create(channel))
            assert code is grpc.StatusCode.UNAVAILABLE


@BOTH
async def test_new_handshakes_get_the_certificate_of_a_new_issuer(front: bool, tmp_path: Path) -> None:
    async with running_secure(front=front) as server, server.channel() as old:
        await create(old, "shop/web")
        server.authority.signing = FixedAuthority().signing
        async with server.channel() as new:
            await create(new, "shop/web")
        await create(old, "shop/web")


@BOTH
@pytest.mark.parametrize(
    ("version", "accepted"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_tls_is_1_2_or_1_3_and_speaks_h2(
    front: bool, version: ssl.TLSVersion, accepted: bool, tmp_path: Path
) -> None:
    async with running_secure(front=front) as server:
        context = server.context(tmp_path)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        host, _, port = server.address.rpartition(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        except (ssl.SSLError, ConnectionError):
            assert not accepted
            return
        assert accepted
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        writer.transport.abort()


async def test_who_never_shakes_hands_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xds_server.transport.tls_front._HANDSHAKE_SECONDS", 0.1)
    async with running_secure() as server:
        host, _, port = server.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x16\x03\x01")
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        async with server.channel() as channel:
            assert await create(channel, "shop/web")


async def test_connections_leave_nothing_behind() -> None:
    async with running_secure() as server:
        for _ in range(3):
            async with server.channel() as channel:
                await create(channel, "shop/web")
        front = server.port._front
        assert front is not None
        while front._connections or len(front._tasks) > 1:
            await asyncio.sleep(0.01)


async def test_streams_show_where_their_client_is() -> None:
    async with running_secure() as server, server.channel() as channel:
        call = streams(channel)(metadata=ZTUNNEL)
        await call.write(xds.DeltaDiscoveryRequest(node=node(), type_url=ADDRESS))
        await call.read()
        client = next(iter(server.clients))
        assert client.peer.startswith("ipv4:127.0.0.1:")
        assert client.caller == "spiffe://cluster.local/ns/istio-system/sa/ztunnel"
        call.cancel()


@pytest.mark.parametrize(
    "claimed",
    [node("shop"), node("istio-system", NAMESPACE="shop"), node("istio-system", SERVICE_ACCOUNT="istiod")],
)
async def test_a_node_that_is_somebody_else_is_denied(claimed: Node) -> None:
    async with running_secure() as server, server.channel() as channel:
        call = streams(channel)(metadata=ZTUNNEL)
        await call.write(xds.DeltaDiscoveryRequest(node=claimed, type_url=ADDRESS))
        assert await call.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_caller_may_open_only_so_many_streams() -> None:
    async with running_secure(max_streams_per_caller=2) as server, server.channel() as channel:
        held = [streams(channel)(metadata=ZTUNNEL) for _ in range(2)]
        for call in held:
            await call.write(xds.DeltaDiscoveryRequest(node=node(), type_url=ADDRESS))
            await call.read()
        assert await streams(channel)(metadata=ZTUNNEL).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        other = streams(channel)(metadata=(("authorization", "Bearer shop/web"),))
        await other.write(xds.DeltaDiscoveryRequest(node=node("shop"), type_url=ADDRESS))
        await other.read()
        for call in (*held, other):
            call.cancel()
        while len(server.clients):
            await asyncio.sleep(0.01)
        assert not server.ads._by_caller


async def test_two_authorization_headers_prove_nothing() -> None:
    async with running_secure() as server, server.channel() as channel:
        call = streams(channel)(metadata=(*ZTUNNEL, *ZTUNNEL))
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
