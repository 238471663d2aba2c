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
    before = pod(7).replace("podIP: 10.0.0.8", "podIP: 10.9.9.9")
    assert cost(mesh, before) == {"pod workloads": 1}


def test_one_pod_with_labels_that_no_other_has_reruns_two(mesh: MeshUnderTest) -> None:
    assert cost(mesh, pod(7, "v2")) == {"label set bonds": 1, "pod workloads": 1}


def test_one_pod_with_labels_that_others_have_reruns_one_function(mesh: MeshUnderTest) -> None:
    assert cost(mesh, pod(7).replace("name: pod-7", "name: another")) == {"pod workloads": 1}


@pytest.mark.parametrize("namespace", ["ns", "istio-system"])
@pytest.mark.parametrize(
    ("label", "pods"), [("app: app-2", PODS // 6), ("version: v1", PODS), ("app: nobody", 0)]
)
def test_a_policy_reruns_the_pods_it_selects(
    mesh: MeshUnderTest, namespace: str, label: str, pods: int
) -> None:
    policy = (
        f"{{kind: AuthorizationPolicy, metadata: {{name: p, namespace: {namespace}}}, "
        f"spec: {{selector: {{matchLabels: {{{label}}}}}}}}}"
    )
    assert cost(mesh, policy).get("pod workloads", 0) == pods
    denying = policy.replace("spec: {", "spec: {action: DENY, ")
    assert cost(mesh, denying) == {"authorizations": 1, "policy selections": 1}


def test_a_policy_without_a_selector_reruns_no_pod(mesh: MeshUnderTest) -> None:
    changed = cost(mesh, "{kind: AuthorizationPolicy, metadata: {name: p, namespace: ns}}")
    assert changed == {"authorizations": 1, "policy selections": 1}


def test_strict_mutual_tls_of_a_namespace_reruns_its_pods_alone(mesh: MeshUnderTest) -> None:
    put(mesh.registry, pod(1).replace("namespace: ns", "namespace: other"))
    strict = "{kind: PeerAuthentication, metadata: {name: p, namespace: ns}, spec: {mtls: {mode: STRICT}}}"
    assert cost(mesh, strict)["pod workloads"] == PODS


NAMESPACE = "{kind: Namespace, metadata: {name: ns, labels: {%s}}}"
WAYPOINT = (
    "{kind: Gateway, metadata: {name: w, namespace: ns, labels: {%s}}, "
    "status: {addresses: [{type: IPAddress, value: %s}]}}"
)


def test_a_label_of_a_namespace_that_nothing_reads_reruns_nothing_in_it(mesh: MeshUnderTest) -> None:
    put(mesh.registry, NAMESPACE % "")
    assert all(count == 1 for count in cost(mesh, NAMESPACE % "team: a").values())


def test_a_namespaces_waypoint_for_services_reruns_its_services_and_no_pod(mesh: MeshUnderTest) -> None:
    put(mesh.registry, NAMESPACE % "")
    put(mesh.registry, WAYPOINT % ("", "10.0.0.2"))
    changed = cost(mesh, NAMESPACE % "istio.io/use-waypoint: w")
    assert changed["services"] == 6
    assert "pod workloads" not in changed
    assert cost(mesh, WAYPOINT % ("", "10.0.0.3"))["services"] == 6


def test_a_waypoint_of_one_service_reruns_that_one(mesh: MeshUnderTest) -> None:
    put(mesh.registry, WAYPOINT % ("", "10.0.0.2"))
    bound = service(2).replace("namespace: ns}", "namespace: ns, labels: {istio.io/use-waypoint: w}}")
    assert cost(mesh, bound) == {"service targets": 1, "services": 1}
    assert cost(mesh, WAYPOINT % ("", "10.0.0.3")) == {"waypoints": 1, "network gateways": 1, "services": 1}


def entry(number: int, more: str = "") -> str:
    return (
        f"{{kind: ServiceEntry, metadata: {{name: e-{number}, namespace: ns}}, spec: {{hosts: "
        f"[h-{number}.example.com], resolution: STATIC, endpoints: [{{address: 9.9.9.{number}}}]{more}}}}}"
    )


def test_one_service_entry_reruns_its_own_functions(mesh: MeshUnderTest) -> None:
    for number in range(6):
        put(mesh.registry, entry(number))
    changed = cost(mesh, entry(2, ", addresses: [1.2.3.4]"))
    assert set(changed.values()) == {1}
    assert "pod workloads" not in changed
    assert cost(mesh, entry(7, ", workloadSelector: {labels: {app: app-2}}"))["pod workloads"] == PODS // 6


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
