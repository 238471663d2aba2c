"""Keys and tokens are nowhere but where they belong: not in logs, not in answers, not for others to read."""

import asyncio
import base64
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.helpers.authorities import new_csr
from tests.helpers.offmesh import EXAMPLE, Offmesh, serve
from xds_server.catalog.resource import SECRET
from xds_server.debug.paths import PROBES, VIEWS
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds

ZTUNNEL = "istio-system/ztunnel-b4n8k"
PRODUCTPAGE = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"


def traces(pem: bytes) -> set[str]:
    """Return what would give a key away: lines of its PEM, its number in hex and in base64."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    lines = {line for line in pem.decode().splitlines() if "-----" not in line and len(line) > 20}
    return {
        *lines,
        number.hex(),
        base64.b64encode(pem).decode()[40:120],
        base64.b64encode(number).decode()[:40],
    }


async def follow_secrets(
    offmesh: Offmesh, token: str, paths: list[str]
) -> tuple[list[bytes], dict[str, str]]:
    """Hold a stream of secrets while every path is asked; return the keys and the answers."""
    credentials = grpc.ssl_channel_credentials(offmesh.root.read_bytes())
    async with grpc.aio.secure_channel(offmesh.secure, credentials) as channel:
        call = channel.stream_stream(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
            request_serializer=xds.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=xds.DeltaDiscoveryResponse.FromString,
        )(metadata=(("authorization", f"Bearer {token}"),))
        request = xds.DeltaDiscoveryRequest(
            node=Node(id="canary"),
            type_url=SECRET,
            resource_names_subscribe=["default", PRODUCTPAGE],
        )
        await call.write(request)
        response = await call.read()
        assert isinstance(response, xds.DeltaDiscoveryResponse)
        secrets = [Secret.FromString(item.resource.value) for item in response.resources]
        answers = {path: await asyncio.to_thread(get, offmesh, path) for path in paths}
        call.cancel()
    return [secret.tls_certificate.private_key.inline_bytes for secret in secrets], answers


def get(offmesh: Offmesh, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{offmesh.http}{path}", timeout=20) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def paths() -> Iterator[str]:
    for path, view in VIEWS.items():
        yield path
        yield f"{path}?pretty"
        for parameter in view.parameters:
            for value in ("1", "canary", "default", PRODUCTPAGE, "dpu-a"):
                yield f"{path}?{parameter}={value}"
    yield f"/debug/explain?node=dpu-a&identity={PRODUCTPAGE}"
    yield f"/debug/config_dump?client=canary&type={SECRET}"
    yield from ("/", "/metrics", *PROBES)


@pytest.mark.xdist_group("canary")
def test_no_key_and_no_token_is_told_or_logged(tmp_path: Path) -> None:
    conf = EXAMPLE / "cluster-conf.yaml"
    with serve(tmp_path, "--log-level=debug", manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        token = offmesh.token(ZTUNNEL, EXAMPLE / "mesh")
        asked = {"csr": new_csr(), "metadata": {"ImpersonatedIdentity": PRODUCTPAGE}}
        offmesh.secure_grpcurl(CREATE, asked, token)
        offmesh.secure_grpcurl(CREATE, asked, token[:-3] + "AAA", check=False)
        keys, answers = asyncio.run(follow_secrets(offmesh, token, list(paths())))
        assert len(keys) == 2
        assert PRODUCTPAGE in answers["/debug/secretz"]
        assert "canary#" in answers["/debug/adsz"]
        keys += [
            (offmesh.certs / name).read_bytes() for name in ("ca-key.pem", "root-key.pem", "token-key.pem")
        ]
        offmesh.stop()
    places = answers | {"the log": offmesh.log.read_text(), "the roots": offmesh.root.read_text()}
    wanted = set().union(*map(traces, keys)) | {token, token.rpartition(".")[2], "PRIVATE KEY"}
    for place, text in places.items():
        assert text
        leaked = [item for item in wanted if item in text]
        assert not leaked, f"{place} tells a secret"


def test_secret_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    conf = EXAMPLE / "cluster-conf.yaml"
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in offmesh.certs.iterdir()}
        assert stat.S_IMODE(offmesh.certs.stat().st_mode) == 0o700
        for name, mode in modes.items():
            holds_key = "key" in name or "PRIVATE KEY" in (offmesh.certs / name).read_text()
            assert not holds_key or mode == 0o600, name
        assert modes["trust-bundle.pem"] & 0o444 == 0o444
