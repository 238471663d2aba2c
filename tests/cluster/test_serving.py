"""The real command serves a real API server, with the chart's objects and exactly their rights."""

import asyncio
import base64
import contextlib
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.authorities import new_csr
from tests.helpers.cluster_objects import account, config_map, crds, lease, namespace, node, pod, service
from tests.helpers.followed_cluster import until
from tests.helpers.helm import one as one_of
from tests.helpers.helm import rendered
from tests.helpers.offmesh import Offmesh, grpcurl, json_values, serve_cluster
from tests.helpers.programs import free_ports

DELTA = "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
CREATE = "istio.v1.auth.IstioCertificateService/CreateCertificate"
ADDRESS = "type.googleapis.com/istio.workload.Address"
MAP = "pairs:\n- {cpuNodeIP: 192.0.2.1, dpuNodeIP: 192.0.2.2}\n"
PLACE = "istio-system/offmesh-conf"
APP = "Kubernetes//Pod/shop/app"
VALUES = {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}, "http": {"expose": True}}

pytestmark = pytest.mark.xdist_group("serving")


@pytest.fixture
async def cluster(own_api_server: ApiServer) -> AsyncIterator[ApiServer]:
    """A small mesh, with the objects of the chart."""
    server = own_api_server
    await server.apply(*crds(), namespace("istio-system"), namespace("shop"))
    await server.apply(*rendered(VALUES))
    await server.apply(config_map("istio-system/offmesh-conf", **{"cluster_conf.yaml": ""}))
    await write_map(server, MAP)
    await server.apply(
        node("cpu-a", "192.0.2.1", offMeshNodeType="cpu"),
        node("dpu-a", "192.0.2.2", offMeshNodeType="dpu"),
        account("shop/app"),
        account("istio-system/ztunnel"),
        service("shop/app", app="app"),
        pod("shop/app", "cpu-a", "10.1.0.1", "app", {"app": "app"}),
        pod("istio-system/ztunnel-dpu-a", "dpu-a", "10.2.0.1", "ztunnel"),
    )
    yield server


async def write_map(server: ApiServer, text: str) -> None:
    path = "/api/v1/namespaces/istio-system/configmaps/offmesh-conf"
    patch = [{"op": "replace", "path": "/data", "value": {"cluster-conf.yaml": text}}]
    await server.request("PATCH", path, patch, "application/json-patch+json")


@contextmanager
def replica(folder: Path, kubeconfig: Path, name: str = "first") -> Iterator[Offmesh]:
    folder.mkdir(exist_ok=True)
    place = f"--cluster-conf-configmap={PLACE}"
    with serve_cluster(folder, kubeconfig, place, POD_NAME=name, POD_NAMESPACE="istio-system") as server:
        yield server


async def kubeconfig_of_the_chart(cluster: ApiServer, folder: Path) -> Path:
    return await cluster.kubeconfig_of_account(folder / "kubeconfig", "istio-system", "offmesh")


async def trust(cluster: ApiServer, offmesh: Offmesh) -> None:
    """Trust what the server has published for the pods of a namespace."""
    path = "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert"
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RuntimeError):
                published = await cluster.request("GET", path)
                break
            await asyncio.sleep(0.05)
    offmesh.root.parent.mkdir(exist_ok=True)
    offmesh.root.write_text(published["data"]["root-cert.pem"])


def addresses(offmesh: Offmesh, versions: dict[str, str] | None = None) -> dict[str, Any]:
    """Return what a client gets that has these versions: the response to its first request."""
    asked = {"node": {"id": "test"}, "type_url": ADDRESS, "initial_resource_versions": versions or {}}
    answer = grpcurl("-max-time", "2", "-d", json.dumps(asked), offmesh.grpc, DELTA, check=False)
    first: dict[str, Any] = json_values(answer.stdout)[0]
    return first


def serving_node(offmesh: Offmesh, uid: str = APP) -> str:
    told = offmesh.get("/debug/ambientz?name=app")["workloads"]
    return next((str(one.get("node")) for one in told if one["uid"] == uid), "")


async def test_the_charts_rights_are_all_a_server_needs(cluster: ApiServer, tmp_path: Path) -> None:
    kubeconfig = await kubeconfig_of_the_chart(cluster, tmp_path)
    with replica(tmp_path / "one", kubeconfig) as offmesh:
        assert serving_node(offmesh) == "dpu-a"
        await trust(cluster, offmesh)
        secret = await cluster.request("GET", "/api/v1/namespaces/istio-system/secrets/istio-ca-secret")
        assert base64.b64decode(secret["data"]["root-cert.pem"]).decode() == offmesh.root.read_text()
        path = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases/offmesh-leader"
        lease = await cluster.request("GET", path)
        assert lease["spec"]["holderIdentity"] == "first"
        assert "(403)" not in offmesh.log.read_text()
        assert offmesh.stop() == 0
        assert not (await cluster.request("GET", path))["spec"].get("holderIdentity")
        assert "Traceback" not in offmesh.log.read_text()


async def test_a_dpus_ztunnel_gets_the_certificates_of_its_cpu_node_by_its_clusters_token(
    cluster: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = await kubeconfig_of_the_chart(cluster, tmp_path)
    ztunnel = await cluster.request("GET", "/api/v1/namespaces/istio-system/pods/ztunnel-dpu-a")
    token = await cluster.token("istio-system", "ztunnel", "istio-ca", ztunnel)
    other_audience = await cluster.token("istio-system", "ztunnel", pod=ztunnel)
    with replica(tmp_path / "one", kubeconfig) as offmesh:
        await trust(cluster, offmesh)

        def create(identity: str, proof: str = token) -> subprocess.CompletedProcess[str]:
            asked = {"csr": new_csr(), "metadata": {"ImpersonatedIdentity": identity}}
            return offmesh.secure_grpcurl(CREATE, asked, proof, check=False)

        assert "BEGIN CERTIFICATE" in create("spiffe://cluster.local/ns/shop/sa/app").stdout
        assert "PermissionDenied" in create("spiffe://cluster.local/ns/shop/sa/nobody").stderr
        refused = create("spiffe://cluster.local/ns/shop/sa/app", other_audience).stderr
        assert "the token is for another audience" in refused
        await cluster.delete(pod("istio-system/ztunnel-dpu-a"))
        await until(lambda: "Unauthenticated" in create("spiffe://cluster.local/ns/shop/sa/app").stderr)


async def test_the_map_in_the_config_map_is_followed_and_a_wrong_one_changes_nothing(
    cluster: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = await kubeconfig_of_the_chart(cluster, tmp_path)
    with replica(tmp_path / "one", kubeconfig) as offmesh:
        await write_map(
            cluster, "pairs:\n- {cpuNodeIP: 192.0.2.1, dpuNodeIP: 192.0.2.9, dpuNodeName: spare}\n"
        )
        await until(lambda: serving_node(offmesh) == "spare")
        await write_map(cluster, "pairs:\n- {cpuNodeIP: 192.0.2.1, dpuNodeIP: 192.0.2.1}\n")
        await until(lambda: offmesh.get("/debug/placementz")["failure"])
        assert offmesh.get("/debug/placementz")["path"] == "ConfigMap istio-system/offmesh-conf"
        assert serving_node(offmesh) == "spare"
        await cluster.delete(config_map("istio-system/offmesh-conf"))
        await until(lambda: "missing" in str(offmesh.get("/debug/placementz")["failure"]))
        assert serving_node(offmesh) == "spare"


MISSING = {
    "ClusterRoleBinding offmesh-istio-system": "expected list and watch of namespaces in all namespaces",
    "RoleBinding offmesh": "secrets",
    "RoleBinding offmesh-istio-system-placement": "list and watch of configmaps in namespace istio-system",
}


@pytest.mark.parametrize("binding", MISSING)
async def test_what_rbac_does_not_grant_is_named_until_it_does(
    cluster: ApiServer, tmp_path: Path, binding: str
) -> None:
    kind, _, name = binding.partition(" ")
    held = one_of(rendered(VALUES), kind, name)
    await cluster.delete(held)
    kubeconfig = await kubeconfig_of_the_chart(cluster, tmp_path)
    (port,) = free_ports(1)
    with starting(tmp_path, kubeconfig, f"--health-address=127.0.0.1:{port}"):
        told = ""
        async with asyncio.timeout(30):
            while not ("(403)" in told and MISSING[binding] in told):
                told = await ready(port)
        await cluster.apply(held)
        async with asyncio.timeout(30):
            while told != "ready":
                told = await ready(port)


@contextmanager
def starting(folder: Path, kubeconfig: Path, *flags: str) -> Iterator[None]:
    """Run a server that may not become ready."""
    addresses = [f"--{name}-address=127.0.0.1:0" for name in ("grpc", "secure-grpc", "http")]
    command = [sys.executable, "-m", "xds_server", "serve", f"--kubeconfig={kubeconfig}", *addresses]
    command += [f"--cluster-conf-configmap={PLACE}", "--namespace=istio-system", *flags]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait(30)


async def ready(port: int) -> str:
    """Return what the probe says; nothing while it says nothing."""
    try:
        answer = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/ready")
    except urllib.error.HTTPError as error:
        return str(json.load(error)["reason"])
    except OSError:
        await asyncio.sleep(0.1)
        return ""
    answer.close()
    return "ready"


async def test_a_pair_whose_agent_falls_silent_is_unhealthy_and_its_node_says_so(
    cluster: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = await kubeconfig_of_the_chart(cluster, tmp_path)
    beat = lease("istio-system/dpu-a", "2026-01-01T00:00:00.000000Z", seconds=2)
    with replica(tmp_path / "one", kubeconfig) as offmesh:
        assert status(offmesh) == "HEALTHY"
        await cluster.apply(beat)
        await until(lambda: status(offmesh) == "UNHEALTHY")
        conditions: dict[str, str] = {}
        async with asyncio.timeout(20):
            while conditions.get("OffMeshPairReady") != "False":
                told = await cluster.request("GET", "/api/v1/nodes/cpu-a")
                conditions = {one["type"]: one["status"] for one in told["status"]["conditions"]}
        assert offmesh.get("/debug/livenessz")["pairs"][0]["reasons"] == ["LeaseExpired"]
        beat["spec"]["renewTime"] = "2026-01-01T00:00:09.000000Z"
        beat["spec"]["leaseDurationSeconds"] = 3600
        await cluster.apply(beat)
        await until(lambda: status(offmesh) == "HEALTHY")
        assert "(403)" not in offmesh.log.read_text()


def status(offmesh: Offmesh) -> str:
    told = offmesh.get("/debug/ambientz?name=app")["workloads"]
    return next(str(one.get("status", "HEALTHY")) for one in told if one["uid"] == APP)


async def test_a_client_that_moves_to_another_replica_is_sent_nothing_it_has(
    cluster: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = await kubeconfig_of_the_chart(cluster, tmp_path)
    with replica(tmp_path / "one", kubeconfig) as one, replica(tmp_path / "two", kubeconfig, "second") as two:
        first = addresses(one)
        versions = {resource["name"]: resource["version"] for resource in first["resources"]}
        assert APP in versions
        one.process.send_signal(signal.SIGKILL)
        moved = addresses(two, versions)
        assert (moved.get("resources", []), moved.get("removed_resources", [])) == ([], [])
        assert moved["system_version_info"] == first["system_version_info"]


async def test_an_api_server_that_is_gone_takes_nothing_from_clients_and_resends_nothing(
    cluster: ApiServer, tmp_path: Path
) -> None:
    kubeconfig = await kubeconfig_of_the_chart(cluster, tmp_path)
    with replica(tmp_path / "one", kubeconfig) as offmesh:
        before = metric(offmesh, "offmesh_catalog_position")
        await cluster.stop_server()
        await until(lambda: failing(offmesh))
        assert offmesh.get("/ready") == {"ready": True}
        assert len(addresses(offmesh)["resources"]) >= 2
        await cluster.start_server()
        await until(lambda: not failing(offmesh))
        assert metric(offmesh, "offmesh_catalog_position") == before
        await cluster.apply(pod("shop/late", "cpu-a", "10.1.0.9", "app"))
        await until(lambda: metric(offmesh, "offmesh_catalog_position") > before)


def failing(offmesh: Offmesh) -> list[str]:
    return [one["kind"] for one in offmesh.get("/debug/registryz")["watches"] if one["failure"]]


def metric(offmesh: Offmesh, name: str) -> float:
    with urllib.request.urlopen(f"http://{offmesh.http}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])
