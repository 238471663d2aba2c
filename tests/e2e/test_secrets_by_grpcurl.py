"""Secrets as people with grpcurl see them: what they are worth, and that rights act on open streams."""

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.helpers.offmesh import EXAMPLE, Offmesh, OpenCall, grpcurl, json_values, serve

SDS = "envoy.service.secret.v3.SecretDiscoveryService"
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105
NODE_ACCOUNT = "spiffe://cluster.local/ns/istio-system/sa/ztunnel"
PRODUCTPAGE = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
DETAILS = "spiffe://cluster.local/ns/default/sa/bookinfo-details"
# ztunnel-b4n8k runs on dpu-a, which serves cpu-a, where productpage runs; details runs on cpu-b.
ZTUNNEL = "istio-system/ztunnel-b4n8k"
PRODUCTPAGE_POD = "default/productpage-v1-54bb874995-mw2kd"
DELTA = [f"{SDS}/DeltaSecrets", f"{ADS}/DeltaAggregatedResources"]
STATE_OF_THE_WORLD = [f"{SDS}/StreamSecrets", f"{ADS}/StreamAggregatedResources"]
SECRET_METHODS = ["DeltaSecrets", "StreamSecrets", "FetchSecrets"]
UNPAIRED = "singles: [192.168.50.130, 192.168.50.131, 192.168.50.133, 192.168.50.134, 192.168.50.140]\n"

pytestmark = pytest.mark.xdist_group("secrets")


@dataclass(frozen=True)
class Mesh:
    """A server of its own files."""

    offmesh: Offmesh
    folder: Path

    @property
    def manifests(self) -> Path:
        return self.folder / "mesh"

    @property
    def conf(self) -> Path:
        return self.folder / "cluster-conf.yaml"

    def token(self, pod: str = ZTUNNEL) -> str:
        return self.offmesh.token(pod, EXAMPLE / "mesh")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Serve a copy of the example; who changes its files puts them back."""
    folder = tmp_path_factory.mktemp("secrets")
    shutil.copytree(EXAMPLE / "mesh", folder / "mesh")
    shutil.copy(EXAMPLE / "cluster-conf.yaml", folder)
    conf = folder / "cluster-conf.yaml"
    with serve(folder, manifests=folder / "mesh", cluster_conf=conf) as running:
        yield Mesh(running, folder)


@pytest.fixture(scope="module")
def token(mesh: Mesh) -> str:
    return mesh.token()


def request(**fields: Any) -> dict[str, Any]:
    return {"node": {"id": "grpcurl"}, "type_url": SECRET, **fields}


def secrets(response: Any) -> dict[str, Any]:
    found = [item.get("resource", item) for item in response.get("resources", [])]
    return {secret["name"]: secret for secret in found}


def inline(source: Any) -> bytes:
    return base64.b64decode(source["inline_bytes"])


class DeltaFollower:
    """A client that acknowledges, and knows what it holds and what it was told is not there."""

    def __init__(self, call: OpenCall) -> None:
        self._call = call
        self.held: set[str] = set()
        self.removed: set[str] = set()

    def until(self, held: set[str], removed: set[str]) -> None:
        """Read until exactly this is held; a server that never says so lets the test time out."""
        while (self.held, self.removed) != (held, removed):
            response = self._call.receive()
            gone = set(response.get("removed_resources", []))
            self.held = (self.held | set(secrets(response))) - gone
            self.removed = (self.removed | gone) - self.held
            self._call.send({"type_url": SECRET, "response_nonce": response["nonce"]})


class TestWhatASecretIsWorth:
    @pytest.mark.parametrize(("name", "identity"), [("default", NODE_ACCOUNT), (PRODUCTPAGE, PRODUCTPAGE)])
    def test_the_pair_is_of_one_key_and_the_roots_verify_it(
        self, mesh: Mesh, token: str, name: str, identity: str, tmp_path: Path
    ) -> None:
        asked = request(resource_names=["ROOTCA", name])
        answer = mesh.offmesh.secure_grpcurl(f"{SDS}/FetchSecrets", asked, token)
        found = secrets(json.loads(answer.stdout))
        pair = found[name]["tls_certificate"]
        leaf, *issuers = x509.load_pem_x509_certificates(inline(pair["certificate_chain"]))
        assert load_pem_private_key(inline(pair["private_key"]), None).public_key() == leaf.public_key()
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert list(names) == [x509.UniformResourceIdentifier(identity)]
        assert len(issuers) == 1
        roots = inline(found["ROOTCA"]["validation_context"]["trusted_ca"])
        assert roots == mesh.offmesh.root.read_bytes()
        (tmp_path / "chain").write_bytes(inline(pair["certificate_chain"]))
        (tmp_path / "roots").write_bytes(roots)
        chain = str(tmp_path / "chain")
        verify = ["openssl", "verify", "-CAfile", str(tmp_path / "roots"), "-untrusted", chain, chain]
        subprocess.run(verify, check=True, capture_output=True)

    def test_two_streams_of_an_identity_share_a_key_while_both_are_open(self, mesh: Mesh, token: str) -> None:
        keys = set()
        asked = request(resource_names_subscribe=[PRODUCTPAGE])
        with (
            mesh.offmesh.open_call(DELTA[0], token) as one,
            mesh.offmesh.open_call(DELTA[1], token) as other,
        ):
            for call in (one, other):
                call.send(asked)
                pair = secrets(call.receive())[PRODUCTPAGE]["tls_certificate"]
                keys.add(inline(pair["private_key"]))
        assert len(keys) == 1


class TestWhoMayHaveThem:
    def test_a_workload_gets_its_own_alone(self, mesh: Mesh) -> None:
        own = mesh.token(PRODUCTPAGE_POD)
        names = ["ROOTCA", "default", PRODUCTPAGE]
        fetched = mesh.offmesh.secure_grpcurl(f"{SDS}/FetchSecrets", request(resource_names=names), own)
        assert sorted(secrets(json.loads(fetched.stdout))) == sorted(names)
        others = [DETAILS, NODE_ACCOUNT]
        for other in others:
            asked = request(resource_names=[other])
            answer = mesh.offmesh.secure_grpcurl(f"{SDS}/FetchSecrets", asked, own, check=False)
            assert "PermissionDenied" in answer.stderr
        asked = request(resource_names_subscribe=[PRODUCTPAGE, *others])
        (response,) = json_values(mesh.offmesh.secure_grpcurl(DELTA[0], asked, own).stdout)
        assert list(secrets(response)) == [PRODUCTPAGE]
        assert sorted(response["removed_resources"]) == sorted(others)

    @pytest.mark.parametrize("method", [*DELTA, *STATE_OF_THE_WORLD, f"{SDS}/FetchSecrets"])
    def test_without_a_token_there_are_none(self, mesh: Mesh, method: str) -> None:
        answer = mesh.offmesh.secure_grpcurl(method, request(), check=False)
        assert "Unauthenticated" in answer.stderr
        assert not answer.stdout

    @pytest.mark.parametrize("method", [f"{SDS}/{name}" for name in SECRET_METHODS])
    def test_the_plaintext_port_believes_no_token(self, mesh: Mesh, token: str, method: str) -> None:
        answer = self.ask_in_plaintext(mesh, token, method)
        assert "Unauthenticated" in answer.stderr
        assert not answer.stdout

    @pytest.mark.parametrize("method", [DELTA[1], STATE_OF_THE_WORLD[1]])
    def test_the_plaintext_port_has_no_secrets_among_its_types(
        self, mesh: Mesh, token: str, method: str
    ) -> None:
        (response,) = json_values(self.ask_in_plaintext(mesh, token, method).stdout)
        assert "resources" not in response

    def ask_in_plaintext(self, mesh: Mesh, token: str, method: str) -> "subprocess.CompletedProcess[str]":
        names = "resource_names_subscribe" if method in DELTA else "resource_names"
        asked = json.dumps(request(**{names: ["ROOTCA", "default"]}))
        proof = ["-H", f"authorization: Bearer {token}"]
        return grpcurl(*proof, "-d", "@", mesh.offmesh.grpc, method, stdin=asked, check=False)


class TestRightsChangeWhileAStreamIsOpen:
    """Every one of these changes what is served."""

    @pytest.fixture(autouse=True)
    def put_back(self, mesh: Mesh) -> Iterator[None]:
        yield
        shutil.copytree(EXAMPLE / "mesh", mesh.manifests, dirs_exist_ok=True)
        shutil.copy(EXAMPLE / "cluster-conf.yaml", mesh.conf)

    @pytest.mark.parametrize("method", DELTA)
    def test_the_map_takes_and_gives_secrets(self, mesh: Mesh, token: str, method: str) -> None:
        before = mesh.conf.read_text()
        with mesh.offmesh.open_call(method, token) as call:
            client = DeltaFollower(call)
            call.send(request(resource_names_subscribe=["default", PRODUCTPAGE, DETAILS]))
            client.until({"default", PRODUCTPAGE}, {DETAILS})
            mesh.conf.write_text(before.replace("192.168.50.134", "192.168.50.131"))
            client.until({"default", PRODUCTPAGE, DETAILS}, set())
            mesh.conf.write_text(UNPAIRED)
            client.until({"default"}, {PRODUCTPAGE, DETAILS})
            mesh.conf.write_text(before)
            client.until({"default", PRODUCTPAGE}, {DETAILS})

    @pytest.mark.parametrize("method", STATE_OF_THE_WORLD)
    def test_the_map_takes_and_gives_secrets_of_the_state_of_the_world(
        self, mesh: Mesh, token: str, method: str
    ) -> None:
        before, names = mesh.conf.read_text(), ["default", PRODUCTPAGE, DETAILS]
        with mesh.offmesh.open_call(method, token) as call:
            call.send(request(resource_names=names))
            for conf, expected in (
                (before, {"default", PRODUCTPAGE}),
                (UNPAIRED, {"default"}),
                (before, {"default", PRODUCTPAGE}),
            ):
                mesh.conf.write_text(conf)
                while set(secrets(response := call.receive())) != expected:
                    call.send(self.acknowledge(response, names))
                call.send(self.acknowledge(response, names))

    def acknowledge(self, response: Any, names: list[str]) -> dict[str, Any]:
        nonce, version = response["nonce"], response["version_info"]
        return {
            "type_url": SECRET,
            "resource_names": names,
            "response_nonce": nonce,
            "version_info": version,
        }

    def test_the_secret_of_a_workload_goes_and_comes_with_its_last_pod(self, mesh: Mesh, token: str) -> None:
        manifest = mesh.manifests / "productpage.yaml"
        before = manifest.read_text()
        with mesh.offmesh.open_call(DELTA[0], token) as call:
            client = DeltaFollower(call)
            call.send(request(resource_names_subscribe=["ROOTCA", PRODUCTPAGE]))
            client.until({"ROOTCA", PRODUCTPAGE}, set())
            manifest.write_text(before.replace("phase: Running", "phase: Succeeded"))
            client.until({"ROOTCA"}, {PRODUCTPAGE})
            manifest.write_text(before)
            client.until({"ROOTCA", PRODUCTPAGE}, set())

    def test_all_go_with_the_pod_of_the_ztunnel(self, mesh: Mesh, token: str) -> None:
        manifest = mesh.manifests / "ztunnel.yaml"
        before = manifest.read_text()
        with mesh.offmesh.open_call(DELTA[0], token) as call:
            client = DeltaFollower(call)
            call.send(request(resource_names_subscribe=["default", PRODUCTPAGE]))
            client.until({"default", PRODUCTPAGE}, set())
            manifest.unlink()
            client.until(set(), {"default", PRODUCTPAGE})
            asked = request(resource_names=["default"])
            answer = mesh.offmesh.secure_grpcurl(f"{SDS}/FetchSecrets", asked, token, check=False)
            assert "Unauthenticated" in answer.stderr
            manifest.write_text(before)
            client.until({"default", PRODUCTPAGE}, set())

    def test_an_open_stream_gets_no_new_secrets_when_its_token_has_expired(self, mesh: Mesh) -> None:
        """Whether the stream ends or what it asks for is not there is the server's choice."""
        token = mesh.offmesh.token(ZTUNNEL, EXAMPLE / "mesh", "--hours=0.001")
        given: dict[str, Any] = {}
        with mesh.offmesh.open_call(DELTA[0], token) as call:
            call.send(request(resource_names_subscribe=[PRODUCTPAGE]))
            DeltaFollower(call).until({PRODUCTPAGE}, set())
            asked = request(resource_names=["ROOTCA"])
            while not mesh.offmesh.secure_grpcurl(
                f"{SDS}/FetchSecrets", asked, token, check=False
            ).returncode:
                time.sleep(0.1)
            with contextlib.suppress(EOFError, BrokenPipeError):
                call.send({"type_url": SECRET, "resource_names_subscribe": ["default"]})
                given = secrets(call.receive())
        assert "default" not in given
