"""The secure port as people with openssl and grpcurl see it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.helpers.authorities import new_csr
from tests.helpers.offmesh import EXAMPLE, Offmesh, grpcurl, json_values, serve

CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"
SDS = "envoy.service.secret.v3.SecretDiscoveryService"
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105
PRODUCTPAGE = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
DETAILS = "spiffe://cluster.local/ns/default/sa/bookinfo-details"
# ztunnel-b4n8k runs on dpu-a, which serves cpu-a, where productpage runs; details runs on cpu-b.
ZTUNNEL = "istio-system/ztunnel-b4n8k"

pytestmark = pytest.mark.xdist_group("secure")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secure")
    shutil.copytree(EXAMPLE / "mesh", folder / "mesh")
    shutil.copy(EXAMPLE / "cluster-conf.yaml", folder)
    return folder


@pytest.fixture(scope="module")
def offmesh(folder: Path) -> Iterator[Offmesh]:
    conf = folder / "cluster-conf.yaml"
    with serve(folder, "--tls-san=mesh.example.com", manifests=folder / "mesh", cluster_conf=conf) as running:
        yield running


@pytest.fixture(scope="module")
def token(offmesh: Offmesh, folder: Path) -> str:
    return offmesh.token(ZTUNNEL, folder / "mesh")


def openssl(offmesh: Offmesh, *more: str, root: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = ["openssl", "s_client", "-connect", offmesh.secure, "-CAfile", str(root or offmesh.root)]
    return subprocess.run(
        [*command, "-alpn", "h2", "-verify_return_error", *more],
        input="",
        capture_output=True,
        text=True,
        errors="replace",
        timeout=30,
        check=False,
    )


def ask(identity: str = "", **fields: Any) -> dict[str, Any]:
    metadata = {"metadata": {"ImpersonatedIdentity": identity}} if identity else {}
    return {"csr": new_csr(), "validity_duration": 3_600, **metadata, **fields}


class TestTls:
    @pytest.mark.parametrize("version", ["1_2", "1_3"])
    @pytest.mark.parametrize(
        "name",
        [
            "localhost",
            "istiod.istio-system.svc",
            "istiod-remote.istio-system.svc",
            "istio-pilot.istio-system.svc",
            "offmesh.istio-system.svc",
            "mesh.example.com",
        ],
    )
    def test_it_is_known_by_every_name(self, offmesh: Offmesh, name: str, version: str) -> None:
        shaken = openssl(offmesh, f"-tls{version}", "-servername", name, "-verify_hostname", name)
        assert shaken.returncode == 0, shaken.stderr
        assert "Verification: OK" in shaken.stdout
        assert "ALPN protocol: h2" in shaken.stdout

    def test_it_is_known_by_its_address(self, offmesh: Offmesh) -> None:
        assert openssl(offmesh, "-verify_ip", "127.0.0.1").returncode == 0

    @pytest.mark.parametrize("name", ["evil.example.com", "istiod.other.svc"])
    def test_it_is_known_by_no_other_name(self, offmesh: Offmesh, name: str) -> None:
        assert openssl(offmesh, "-verify_hostname", name).returncode != 0

    def test_tls_1_1_is_refused(self, offmesh: Offmesh) -> None:
        assert openssl(offmesh, "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0").returncode != 0

    def test_another_root_does_not_verify_it(self, offmesh: Offmesh, tmp_path: Path) -> None:
        from tests.helpers.authorities import FixedAuthority

        other = tmp_path / "root.pem"
        other.write_text(FixedAuthority().trust_bundle)
        assert openssl(offmesh, root=other).returncode != 0


class TestCreateCertificate:
    def test_list_and_health_need_no_token(self, offmesh: Offmesh) -> None:
        listed = grpcurl("-cacert", str(offmesh.root), offmesh.secure, "list").stdout.split()
        assert {ADS, SDS, CREATE.partition("/")[0], "grpc.health.v1.Health"} <= set(listed)
        answer = offmesh.secure_grpcurl("grpc.health.v1.Health/Check", {"service": ADS})
        assert json.loads(answer.stdout) == {"status": "SERVING"}

    def test_a_ztunnel_gets_the_certificate_of_a_pod_it_carries(
        self, offmesh: Offmesh, token: str, tmp_path: Path
    ) -> None:
        answer = offmesh.secure_grpcurl(CREATE, ask(PRODUCTPAGE), token)
        leaf, *issuers, roots = json.loads(answer.stdout)["cert_chain"]
        for name, text in (("leaf", leaf), ("issuers", "".join(issuers)), ("roots", roots)):
            (tmp_path / name).write_text(text)
        assert len(issuers) == 1
        assert roots == offmesh.root.read_text()
        chain = ["-CAfile", str(tmp_path / "roots"), "-untrusted", str(tmp_path / "issuers")]
        for purpose in ("sslserver", "sslclient"):
            verify = ["openssl", "verify", *chain, "-purpose", purpose, str(tmp_path / "leaf")]
            subprocess.run(verify, check=True, capture_output=True)
        text = subprocess.run(
            ["openssl", "x509", "-in", tmp_path / "leaf", "-noout", "-text"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"URI:{PRODUCTPAGE}" in text
        assert re.search(r"Subject: *\n", text)
        assert "CA:FALSE" in text
        read = x509.load_pem_x509_certificate(leaf.encode())
        assert (read.not_valid_after_utc - read.not_valid_before_utc).total_seconds() == 3_600 + 120

    @pytest.mark.parametrize(
        ("identity", "told"),
        [
            (DETAILS, "pods dpu-a carries: no pod of default/bookinfo-details there"),
            (PRODUCTPAGE.replace("cluster.local", "evil.local"), "trust domain: 'evil.local'"),
            ("spiffe://cluster.local/ns/default/sa/../admin", "expected spiffe://"),
        ],
    )
    def test_and_of_no_other(self, offmesh: Offmesh, token: str, identity: str, told: str) -> None:
        answer = offmesh.secure_grpcurl(CREATE, ask(identity), token, check=False)
        assert "PermissionDenied" in answer.stderr
        assert told in answer.stderr

    def test_a_workload_gets_its_own_identity_alone(self, offmesh: Offmesh, folder: Path) -> None:
        pod = next(
            f"{item['namespace']}/{item['name']}"
            for item in offmesh.get("/debug/ambientz")["workloads"]
            if item["name"].startswith("productpage")
        )
        own = offmesh.token(pod, folder / "mesh")
        offmesh.secure_grpcurl(CREATE, ask(), own)
        answer = offmesh.secure_grpcurl(CREATE, ask(DETAILS), own, check=False)
        assert "PermissionDenied" in answer.stderr

    def test_who_shows_no_good_token_is_unauthenticated(
        self, offmesh: Offmesh, token: str, folder: Path
    ) -> None:
        other = offmesh.token(ZTUNNEL, folder / "mesh", "--audience=vault")
        for bad in ("", "nonsense", token[:-4] + "AAAA", other):
            answer = offmesh.secure_grpcurl(CREATE, ask(), bad, check=False)
            assert "Unauthenticated" in answer.stderr
            assert not bad or bad not in answer.stderr

    @pytest.mark.parametrize(
        "fields",
        [{"csr": ""}, {"csr": "hello"}, {"validity_duration": 86_401}, {"validity_duration": -1}],
    )
    def test_a_bad_request_is_an_invalid_argument(
        self, offmesh: Offmesh, token: str, fields: dict[str, Any]
    ) -> None:
        answer = offmesh.secure_grpcurl(CREATE, ask(**fields), token, check=False)
        assert "InvalidArgument" in answer.stderr

    def test_the_plaintext_port_gives_nothing_away(self, offmesh: Offmesh, token: str) -> None:
        proof = ["-H", f"authorization: Bearer {token}"]
        fetch = json.dumps({"node": {"id": "x"}, "resource_names": ["default"]})
        for method, request in ((CREATE, json.dumps(ask())), (f"{SDS}/FetchSecrets", fetch)):
            answer = grpcurl(*proof, "-d", "@", offmesh.grpc, method, stdin=request, check=False)
            assert "Unauthenticated" in answer.stderr

    def test_explaining_agrees_with_granting(self, offmesh: Offmesh, token: str) -> None:
        for identity in (PRODUCTPAGE, DETAILS):
            granted = offmesh.secure_grpcurl(CREATE, ask(identity), token, check=False).returncode == 0
            assert offmesh.get(f"/debug/explain?node=dpu-a&identity={identity}")["allowed"] is granted

    def test_every_answer_is_in_the_audit_log_and_counted(self, offmesh: Offmesh, token: str) -> None:
        offmesh.secure_grpcurl(CREATE, ask(PRODUCTPAGE), token)
        offmesh.secure_grpcurl(CREATE, ask(DETAILS), token, check=False)
        log = offmesh.log.read_text()
        assert f"granted {PRODUCTPAGE} to pod {ZTUNNEL} on node dpu-a by CreateCertificate" in log
        assert f"denied '{DETAILS}' to pod {ZTUNNEL} on node dpu-a by CreateCertificate" in log


class TestSecrets:
    def names(self, answer: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
        (response,) = json_values(answer.stdout)
        secrets = [item.get("resource", item) for item in response["resources"]]
        return {secret["name"]: secret for secret in secrets}

    def request(self, **fields: Any) -> dict[str, Any]:
        return {"node": {"id": "grpcurl"}, "type_url": SECRET, **fields}

    def test_they_are_fetched(self, offmesh: Offmesh, token: str) -> None:
        wanted = ["ROOTCA", "default", PRODUCTPAGE]
        answer = offmesh.secure_grpcurl(f"{SDS}/FetchSecrets", self.request(resource_names=wanted), token)
        secrets = self.names(answer)
        assert sorted(secrets) == sorted(wanted)
        assert secrets["ROOTCA"]["validation_context"]["trusted_ca"]["inline_bytes"]
        assert secrets[PRODUCTPAGE]["tls_certificate"]["private_key"]["inline_bytes"]

    def test_what_is_denied_fails_the_fetch(self, offmesh: Offmesh, token: str) -> None:
        request = self.request(resource_names=["default", DETAILS])
        answer = offmesh.secure_grpcurl(f"{SDS}/FetchSecrets", request, token, check=False)
        assert "PermissionDenied" in answer.stderr

    @pytest.mark.parametrize("method", [f"{SDS}/DeltaSecrets", f"{ADS}/DeltaAggregatedResources"])
    def test_a_delta_stream_removes_what_is_denied(self, offmesh: Offmesh, token: str, method: str) -> None:
        request = self.request(resource_names_subscribe=["ROOTCA", PRODUCTPAGE, DETAILS, "nonsense"])
        answer = offmesh.secure_grpcurl(method, request, token)
        assert sorted(self.names(answer)) == ["ROOTCA", PRODUCTPAGE]
        assert json_values(answer.stdout)[0]["removed_resources"] == ["nonsense", DETAILS]

    @pytest.mark.parametrize("method", [f"{SDS}/StreamSecrets", f"{ADS}/StreamAggregatedResources"])
    def test_a_state_of_the_world_stream_leaves_it_out(
        self, offmesh: Offmesh, token: str, method: str
    ) -> None:
        request = self.request(resource_names=["ROOTCA", PRODUCTPAGE, DETAILS])
        assert sorted(self.names(offmesh.secure_grpcurl(method, request, token))) == ["ROOTCA", PRODUCTPAGE]

    def test_a_stream_of_secrets_is_for_secrets(self, offmesh: Offmesh, token: str) -> None:
        request = {"node": {"id": "x"}, "type_url": "type.googleapis.com/istio.workload.Address"}
        answer = offmesh.secure_grpcurl(f"{SDS}/DeltaSecrets", request, token, check=False)
        assert "InvalidArgument" in answer.stderr


class TestChanges:
    """Last: these change the mesh that the others read."""

    def test_the_map_gives_and_takes_rights_at_once(self, offmesh: Offmesh, token: str, folder: Path) -> None:
        conf = folder / "cluster-conf.yaml"
        before = conf.read_text()
        conf.write_text(before.replace("dpuNodeIP: 192.168.50.134", "dpuNodeIP: 192.168.50.131"))
        assert self.becomes(offmesh, DETAILS, granted=True, token=token)
        conf.write_text(before)
        assert self.becomes(offmesh, DETAILS, granted=False, token=token)

    def becomes(self, offmesh: Offmesh, identity: str, *, granted: bool, token: str) -> bool:
        for _ in range(200):
            if (offmesh.secure_grpcurl(CREATE, ask(identity), token, check=False).returncode == 0) is granted:
                return True
        return False

    def test_the_token_of_a_pod_that_is_gone_is_refused(
        self, offmesh: Offmesh, folder: Path, token: str
    ) -> None:
        (folder / "mesh" / "ztunnel.yaml").unlink()
        for _ in range(200):
            answer = offmesh.secure_grpcurl(CREATE, ask(PRODUCTPAGE), token, check=False)
            if "Unauthenticated" in answer.stderr:
                assert f"pod {ZTUNNEL}: not there" in answer.stderr
                return
        raise AssertionError("a token outlived its pod")
