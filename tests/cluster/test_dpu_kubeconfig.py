"""``offmesh serve --dpu-kubeconfig``: DPU nodes in a second API server, end to end."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from tests.helpers.api_server import ApiServer
from tests.helpers.authorities import new_csr
from tests.helpers.cluster_client import RefusedError
from tests.helpers.cluster_objects import account, config_map, namespace, node, pod
from tests.helpers.offmesh import Offmesh, serve_cluster

CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"
WEB = "spiffe://cluster.local/ns/default/sa/web"
SYSTEM = "istio-system"
MAP = "pairs: [{cpuNodeIP: 10.78.0.1, dpuNodeIP: 10.78.0.2}]"


def create(offmesh: Offmesh, token: str) -> str:
    """Return nothing if a certificate was given, else the error."""
    asked = {"csr": new_csr(), "metadata": {"ImpersonatedIdentity": WEB}}
    answer = offmesh.secure_grpcurl(CREATE, asked, token, check=False)
    return answer.stderr if answer.returncode else ""


async def ztunnel(server: ApiServer) -> str:
    """Make the ztunnel of a node ``dpu-a`` and return its token."""
    await server.apply(namespace(SYSTEM), account(f"{SYSTEM}/ztunnel"))
    (made,) = await server.apply(pod(f"{SYSTEM}/ztunnel-1", "dpu-a", "10.98.0.1", "ztunnel"))
    return await server.token(SYSTEM, "ztunnel", "istio-ca", made)


async def roots(server: ApiServer) -> Any:
    """Wait for the roots that are published where the ztunnels of a cluster are."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RefusedError):
                path = f"/api/v1/namespaces/{SYSTEM}/configmaps/istio-ca-root-cert"
                return (await server.request("GET", path))["data"]
            await asyncio.sleep(0.1)


async def test_only_the_dpu_clusters_ztunnel_has_the_identities_of_the_paired_node(
    own_api_server: ApiServer, api_server: ApiServer, tmp_path: Path
) -> None:
    first, dpus = own_api_server, api_server
    tokens = [await ztunnel(server) for server in (first, dpus)]
    await first.apply(
        node("cpu-a", "10.78.0.1"),
        pod("default/web-1", "cpu-a", "10.98.0.2", "web"),
        config_map(f"{SYSTEM}/offmesh-conf", cluster__conf_yaml=MAP),
    )
    await dpus.apply(node("dpu-a", "10.78.0.2"))
    kubeconfig, dpu = first.kubeconfig(tmp_path / "first"), dpus.kubeconfig(tmp_path / "dpus")

    place = f"--cluster-conf-configmap={SYSTEM}/offmesh-conf"
    flags = (f"--dpu-kubeconfig={dpu}", f"--certs={tmp_path / 'certs'}", "--ca-secrets=", place)
    with serve_cluster(tmp_path, kubeconfig, *flags) as offmesh:
        asked = f"/debug/explain?node=dpu-a&identity={WEB}&cluster="
        explained = [offmesh.get(asked + cluster)["allowed"] for cluster in ("first", "dpu")]
        of_first, of_dpu = (create(offmesh, token) for token in tokens)
        placement = offmesh.get("/debug/placementz")
        assert await roots(first) == await roots(dpus)
    await dpus.delete(node("dpu-a", ""), pod(f"{SYSTEM}/ztunnel-1"))
    assert "PermissionDenied" in of_first
    assert of_dpu == ""
    assert explained == [False, True]
    assert [(pair["cpuNodeName"], pair["dpuNodeName"]) for pair in placement["pairs"]] == [("cpu-a", "dpu-a")]
