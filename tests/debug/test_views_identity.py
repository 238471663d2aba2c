"""What is told of identities: who may have which, and why."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.asked_views import names, tell
from tests.helpers.authorities import new_csr
from tests.helpers.served_mesh import ServedMesh, pod
from tests.helpers.two_clusters import put_dpu
from xds_server.debug.question import RefusedError
from xds_server.debug.views_identity import explain, secretz
from xds_server.identity.audit import Way
from xds_server.identity.caller import Caller, Proof
from xds_server.identity.parts import IdentityParts
from xds_server.identity.spiffe import parse_identity
from xds_server.objects.cluster_conf import Pair

WEB = "spiffe://cluster.local/ns/shop/sa/web"


@pytest.fixture
async def parts(mesh: ServedMesh, tmp_path: Path) -> IdentityParts:
    parts = mesh.give_identity(tmp_path / "certs")
    await parts.load()
    return parts


class TestExplain:
    async def test_it_lists_each_check_and_the_verdict(self, mesh: ServedMesh, parts: IdentityParts) -> None:
        told = tell(explain, mesh, node="dpu-a", identity=WEB)
        assert (told["node"], told["identity"], told["allowed"]) == ("dpu-a", WEB, False)
        checks = {check["check"]: check for check in told["checks"]}
        assert checks["node account"] == {
            "check": "node account",
            "passed": False,
            "found": "none",
            "expected": "a pod of istio-system/ztunnel running on dpu-a",
        }
        assert checks["pods dpu-a carries"]["passed"]

    async def test_it_allows_what_would_be_granted(self, mesh: ServedMesh, parts: IdentityParts) -> None:
        mesh.put(ZTUNNEL)
        assert tell(explain, mesh, node="dpu-a", identity=WEB)["allowed"]

    @pytest.mark.parametrize("asked", [{}, {"node": "dpu-a"}, {"identity": WEB}])
    async def test_a_missing_parameter_is_named_with_an_example(
        self, mesh: ServedMesh, parts: IdentityParts, asked: dict[str, str]
    ) -> None:
        with pytest.raises(RefusedError, match="is missing: expected /debug/explain") as refused:
            tell(explain, mesh, **asked)
        assert refused.value.status == 400

    async def test_without_a_secure_port_there_is_nothing_to_explain(self, mesh: ServedMesh) -> None:
        with pytest.raises(RefusedError, match="the secure port is off") as refused:
            tell(explain, mesh, node="dpu-a", identity=WEB)
        assert refused.value.status == 404

    @pytest.mark.parametrize(
        ("asked", "allowed", "cluster"),
        [({}, False, "first"), ({"cluster": "first"}, False, "first"), ({"cluster": "dpu"}, True, "dpu")],
    )
    async def test_of_two_nodes_of_one_name_it_tells_of_the_one_that_is_asked_for(
        self, tmp_path: Path, asked: dict[str, str], allowed: bool, cluster: str
    ) -> None:
        mesh = ServedMesh(two_clusters=True)
        mesh.give_identity(tmp_path)
        mesh.put(ZTUNNEL, pod("web-1", "10.0.0.1"))
        put_dpu(mesh.registry, ZTUNNEL)
        mesh.place(Pair("192.0.2.10", "192.0.2.11", "cpu-a", "dpu-a"))
        told = tell(explain, mesh, node="dpu-a", identity=WEB, **asked)
        assert (told["allowed"], told["cluster"]) == (allowed, cluster)

    async def test_a_cluster_it_does_not_know_is_refused(
        self, mesh: ServedMesh, parts: IdentityParts
    ) -> None:
        with pytest.raises(RefusedError, match="cluster is 'third': expected first or dpu"):
            tell(explain, mesh, node="dpu-a", identity=WEB, cluster="third")


class TestSecretz:
    async def test_it_tells_who_may_hold_what(self, mesh: ServedMesh, parts: IdentityParts) -> None:
        told = tell(secretz, mesh)
        assert told["trustDomain"] == "cluster.local"
        web = of(told, WEB)
        assert web["nodes"] == ["cpu-a", "dpu-a", "plain"]
        assert web["serial"] is None

    async def test_it_tells_the_latest_certificate_and_never_a_key(
        self, mesh: ServedMesh, parts: IdentityParts
    ) -> None:
        caller = Caller(identity=parse_identity(WEB), proof=Proof.CERTIFICATE, expires_at=0.0)
        running = asyncio.create_task(parts.signer.run())
        issued = await parts.signer.sign("a", parse_identity(WEB), new_csr())
        running.cancel()
        await asyncio.wait([running])
        parts.audit.granted(Way.CERTIFICATE, caller, issued)
        web = of(tell(secretz, mesh), WEB)
        assert (web["serial"], web["issuedTo"], web["by"]) == (issued.serial, WEB, "CreateCertificate")
        assert web["notAfter"] > web["notBefore"]
        assert "PRIVATE" not in str(tell(secretz, mesh))

    async def test_it_tells_the_authority(self, mesh: ServedMesh, parts: IdentityParts) -> None:
        authority = tell(secretz, mesh)["authority"]
        assert authority["issuer"] == parts.authority.signing.digest
        assert (authority["nextIssuer"], authority["failure"]) == (None, "")
        assert len(authority["roots"]) == 1

    async def test_it_is_filtered_by_node_and_namespace(self, mesh: ServedMesh, parts: IdentityParts) -> None:
        mesh.put(ZTUNNEL)
        assert names(tell(secretz, mesh, ns="istio-system")["identities"], "identity") == [
            "spiffe://cluster.local/ns/istio-system/sa/ztunnel"
        ]
        assert names(tell(secretz, mesh, node="nowhere")["identities"], "identity") == []

    async def test_an_authority_that_is_not_loaded_is_told_so(self, mesh: ServedMesh, tmp_path: Path) -> None:
        mesh.give_identity(tmp_path)
        assert "no certificate authority" in tell(secretz, mesh)["authority"]["failure"]


def of(told: Any, identity: str) -> Any:
    (found,) = (item for item in told["identities"] if item["identity"] == identity)
    return found


ZTUNNEL = """
kind: Pod
metadata: {name: ztunnel-a, namespace: istio-system, uid: z}
spec: {nodeName: dpu-a, serviceAccountName: ztunnel}
"""
