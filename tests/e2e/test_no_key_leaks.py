"""Keys and tokens are nowhere but where they belong: not in logs, not in answers, not for others to read."""

import asyncio
import base64
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.helpers.authorities import key_pem, new_csr, new_generation, new_key
from tests.helpers.offmesh import EXAMPLE, Offmesh, serve
from tests.identity.authority.held_authority import put
from xds_server.catalog.resource import SECRET
from xds_server.debug.paths import PROBES, VIEWS
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds

ZTUNNEL = "istio-system/ztunnel-b4n8k"
PRODUCTPAGE = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"


def traces(pem: bytes) -> set[str]:
    """Return what would give a key away: lines of its PEM, its number in hex, in digits and in base64."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    lines = {line for line in pem.decode().splitlines() if "-----" not in line and len(line) > 20}
    return {
        *lines,
        number.hex(),
        str(int.from_bytes(number)),
        base64.urlsafe_b64encode(number).decode()[:40],
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
    assert_none_tells(places, keys, {token, token.rpartition(".")[2]})


def assert_none_tells(places: dict[str, str], keys: list[bytes], more: set[str]) -> None:
    """Look for keys and other secrets in texts; and for the keys in themselves, to know that it works."""
    for key in keys:
        assert any(trace in key.decode() for trace in traces(key))
    wanted = set().union(*map(traces, keys)) | more | {"PRIVATE KEY"}
    for place, text in places.items():
        assert text
        leaked = [item for item in wanted if item in text]
        assert not leaked, f"{place} tells a secret"


def plug_in() -> dict[str, bytes]:
    """Make an authority's files, as an operator brings them."""
    made = new_generation()
    texts = {"ca-cert.pem": made.certificate_pem, "ca-key.pem": made.key_pem}
    texts |= {"cert-chain.pem": "".join(made.chain), "root-cert.pem": "".join(made.roots)}
    return {name: text.encode() for name, text in texts.items()}


@pytest.mark.xdist_group("canary")
def test_keys_of_a_rotation_are_told_nowhere(tmp_path: Path) -> None:
    """Neither those that sign, nor those that wait, nor those that do not fit."""
    conf = EXAMPLE / "cluster-conf.yaml"
    old, new, odd = plug_in(), plug_in(), key_pem(new_key()).encode()
    certs = tmp_path / "certs"
    put(certs, old)
    flags = ("--log-level=debug", "--log-format=json")
    with serve(tmp_path, *flags, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        put(certs, new)
        while new["root-cert.pem"] not in offmesh.root.read_bytes():
            time.sleep(0.02)
        put(certs, {"ca-key.pem": odd})
        while "keeps what it has" not in offmesh.log.read_text():
            time.sleep(0.02)
        assert stat.S_IMODE((certs / "rotation.json").stat().st_mode) == 0o600
        answers = {path: get(offmesh, path) for path in paths()}
        offmesh.stop()
    places = answers | {"the log": offmesh.log.read_text(), "the roots": offmesh.root.read_text()}
    assert_none_tells(places, [old["ca-key.pem"], new["ca-key.pem"], odd], set())


@pytest.mark.xdist_group("canary")
def test_a_key_that_is_sent_by_mistake_is_not_repeated(tmp_path: Path) -> None:
    conf = EXAMPLE / "cluster-conf.yaml"
    key = new_key()
    pem = key_pem(key)
    with serve(tmp_path, "--log-level=debug", manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        token = offmesh.token(ZTUNNEL, EXAMPLE / "mesh")
        told = {}
        for name, csr in (("a key", pem), ("key and request", pem + new_csr(key)), ("half a key", pem[40:])):
            answer = offmesh.secure_grpcurl(CREATE, {"csr": csr}, token, check=False)
            assert "InvalidArgument" in answer.stderr
            told[name] = answer.stderr
        offmesh.stop()
    assert_none_tells(told | {"the log": offmesh.log.read_text()}, [pem.encode()], {token})


def test_secret_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    conf = EXAMPLE / "cluster-conf.yaml"
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in offmesh.certs.iterdir()}
        assert stat.S_IMODE(offmesh.certs.stat().st_mode) == 0o700
        for name, mode in modes.items():
            holds_key = "key" in name or "PRIVATE KEY" in (offmesh.certs / name).read_text()
            assert not holds_key or mode == 0o600, name
        assert modes["trust-bundle.pem"] & 0o444 == 0o444
