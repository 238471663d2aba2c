"""The chart with agents, installed by a real helm on a real API server."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_client import RefusedError
from tests.helpers.helm import CHART, NAMESPACE, helm
from xds_server.agent.lease import renew_once
from xds_server.agent.settings import LeaseSettings
from xds_server.exceptions import ClusterError

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
DAEMON_SET = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/offmesh-agent"
ALONE = (f"--values={CHART / 'values-agents.yaml'}", "--set=agent.discoveryAddress=mesh.example:15012")

pytestmark = pytest.mark.xdist_group("chart")


class PermissiveServer(ApiServer):
    """One that has privileged pods, as clusters do."""

    def _flags(self) -> dict[str, object]:
        return super()._flags() | {"allow-privileged": "true"}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ApiServer]:
    folder = tmp_path / "api-server"
    folder.mkdir()
    server = PermissiveServer(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


async def helm_on(cluster: ApiServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    at = f"--kubeconfig={cluster.kubeconfig(cluster.folder / 'kubeconfig')}"
    made = await asyncio.to_thread(helm, *arguments, f"--namespace={NAMESPACE}", at)
    assert made.returncode == 0, made.stderr
    return made


async def renew(cluster: ApiServer, node: str) -> None:
    """Renew a Lease as the agent of the release."""
    account = cluster.folder / "account"
    account.mkdir(exist_ok=True)
    (account / "token").write_text(await cluster.token(NAMESPACE, "offmesh-agent"))
    (account / "ca.crt").write_bytes(cluster.ca_path.read_bytes())
    settings = LeaseSettings(namespace=NAMESPACE, account=account)
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(cluster.port)}
    await asyncio.to_thread(renew_once, settings, node, datetime.now(UTC), environment)


async def test_agents_are_installed_renew_their_leases_and_are_taken_away_again(cluster: ApiServer) -> None:
    install = ("install", "offmesh", str(CHART), "--create-namespace", "--set=agent.enabled=true")
    told = (await helm_on(cluster, *install)).stdout
    assert "rollout status -n istio-system daemonset/offmesh-agent" in told
    made = await cluster.request("GET", DAEMON_SET)
    assert made["spec"]["template"]["spec"]["hostNetwork"] is True

    for _ in range(2):  # the first makes it
        await renew(cluster, "dpu-a")
    lease = await cluster.request("GET", f"{LEASES}/dpu-a")
    assert lease["spec"]["holderIdentity"] == "dpu-a"

    upgrade = ("upgrade", "offmesh", str(CHART), "--reset-then-reuse-values", "--set=agent.enabled=false")
    assert "see agent.enabled" in (await helm_on(cluster, *upgrade)).stdout
    with pytest.raises(RefusedError, match="404"):
        await cluster.request("GET", DAEMON_SET)


async def test_agents_alone_go_beside_the_rights_of_servers_in_a_second_cluster(cluster: ApiServer) -> None:
    await cluster.apply((CHART.parents[1] / "kubernetes" / "dpu-cluster.yaml").read_text())
    told = (await helm_on(cluster, "install", "offmesh", str(CHART), *ALONE)).stdout
    assert "deployment/offmesh" not in told
    await renew(cluster, "dpu-a")
    await helm_on(cluster, "uninstall", "offmesh")
    with pytest.raises(ClusterError, match=r"^the API server refused, 403"):
        await renew_as_nobody(cluster)


async def renew_as_nobody(cluster: ApiServer) -> None:
    """Renew a Lease with an account that is made anew, and that no role is bound to."""
    metadata = {"name": "offmesh-agent", "namespace": NAMESPACE}
    await cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    await renew(cluster, "dpu-a")
