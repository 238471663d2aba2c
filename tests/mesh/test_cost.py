"""What a change costs, told in functions rerun: it must not depend on the size of the mesh."""

import pytest

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put
from xds_server.store.derive import Derivation

PODS = 60


def pod(number: int, version: str = "v1") -> str:
    return (
        f"{{kind: Pod, metadata: {{name: pod-{number}, namespace: ns, labels: {{app: app-{number % 6}, "
        f"version: {version}}}}}, spec: {{nodeName: node-{number % 3}}}, "
        f"status: {{podIP: 10.0.0.{number + 1}}}}}"
    )


def service(number: int, spec: str = "") -> str:
    return (
        f"{{kind: Service, metadata: {{name: app-{number}, namespace: ns}}, "
        f"spec: {{selector: {{app: app-{number}}}{spec}}}}}"
    )


def endpoint_slice(number: int, ready: str = "true") -> str:
    endpoints = ", ".join(
        f"{{addresses: [10.0.0.{pod + 1}], conditions: {{ready: {ready}}}, "
        f"targetRef: {{kind: Pod, namespace: ns, name: pod-{pod}}}}}"
        for pod in range(number, PODS, 6)
    )
    return (
        f"{{kind: EndpointSlice, metadata: {{name: app-{number}-x, namespace: ns, "
        f"labels: {{kubernetes.io/service-name: app-{number}}}}}, addressType: IPv4, "
        f"endpoints: [{endpoints}]}}"
    )


def node(number: int, status: str, zone: str = "z") -> str:
    return (
        f"{{kind: Node, metadata: {{name: node-{number}, labels: {{topology.kubernetes.io/zone: {zone}}}}}, "
        f"status: {{addresses: [{status}]}}}}"
    )


@pytest.fixture
def mesh() -> MeshUnderTest:
    texts = [service(number) for number in range(6)] + [endpoint_slice(number) for number in range(6)]
    texts += [node(number, "") for number in range(3)]
    return MeshUnderTest(*texts, *(pod(number) for number in range(PODS)))


def runs(mesh: MeshUnderTest) -> dict[str, int]:
    return {row.name: row.runs for row in mesh.mesh.graph.collections if isinstance(row, Derivation)}


def cost(mesh: MeshUnderTest, text: str) -> dict[str, int]:
    before = runs(mesh)
    put(mesh.registry, text)
    return {name: count - before[name] for name, count in runs(mesh).items() if count != before[name]}


def test_one_pod_reruns_one_function(mesh: MeshUnderTest) -> None:
    assert cost(mesh, pod(7, "v2")) == {"pod workloads": 1}


def test_an_equal_pod_reruns_nothing(mesh: MeshUnderTest) -> None:
    assert cost(mesh, pod(7)) == {}


def test_a_services_own_matters_rerun_no_workload(mesh: MeshUnderTest) -> None:
    assert cost(mesh, service(2, ", clusterIP: 10.96.0.1")) == {"service targets": 1, "services": 1}


def test_a_services_ports_rerun_the_pods_it_selects(mesh: MeshUnderTest) -> None:
    changed = cost(mesh, service(2, ", ports: [{port: 80}]"))
    assert changed["pod workloads"] == PODS // 6


def test_readiness_in_a_slice_reruns_no_pod(mesh: MeshUnderTest) -> None:
    assert cost(mesh, endpoint_slice(2, "false")) == {"bound pods": 1, "endpoint workloads": 1}


def test_a_heartbeat_of_a_node_reruns_no_pod(mesh: MeshUnderTest) -> None:
    changed = cost(mesh, node(1, "{type: ExternalIP, address: 192.0.2.1}"))
    assert "pod workloads" not in changed


def test_a_moved_node_reruns_its_pods(mesh: MeshUnderTest) -> None:
    assert cost(mesh, node(1, "", "other"))["pod workloads"] == PODS // 3
