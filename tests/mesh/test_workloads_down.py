"""What becomes of workloads whose node is down: by policy, and at what cost."""

import pytest

from tests.helpers.graphs import runs, state
from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.liveness import NodeDown
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings

POLICIES = ("unhealthy", "withdraw", "ignore")


def pod(name: str, node: str, ready: str) -> str:
    spec = f"{{nodeName: {node}}}" if node else "{}"
    return (
        f"{{kind: Pod, metadata: {{name: {name}, namespace: ns}}, spec: {spec}, status: {{phase: Running, "
        f"podIP: 10.0.0.{len(name)}, conditions: [{{type: Ready, status: '{ready}'}}]}}}}"
    )


def settings(policy: str) -> MeshSettings:
    return MeshSettings(unhealthy_pairs=policy)  # type: ignore[arg-type]


def fill(made: MeshUnderTest) -> None:
    """Put two pods on ``cpu-a``, one of them not ready, and one on each of two other nodes."""
    for name, node, ready in (
        ("a", "cpu-a", "True"),
        ("aa", "cpu-a", "False"),
        ("bbb", "cpu-b", "True"),
        ("dddd", "dpu-a", "True"),
        ("unbound", "", "True"),
    ):
        put(made.registry, pod(name, node, ready))
    with made.registry.graph.transaction():
        made.registry.of(Pair).set("192.0.2.1", Pair("192.0.2.1", "192.0.2.2", "cpu-a", "dpu-a"))


def mesh(policy: str = "unhealthy") -> MeshUnderTest:
    made = MeshUnderTest(settings=settings(policy))
    fill(made)
    return made


def down(made: MeshUnderTest, *nodes: str, reason: str = "LeaseExpired") -> None:
    with made.registry.graph.transaction():
        for node in nodes:
            made.registry.of(NodeDown).set(node, NodeDown(reason))


def up(made: MeshUnderTest, *nodes: str) -> None:
    with made.registry.graph.transaction():
        for node in nodes:
            made.registry.of(NodeDown).delete(node)


def healthy(made: MeshUnderTest) -> dict[str, bool]:
    """Return the workloads that are served, by name, and whether each is healthy."""
    workloads = (message.workload for message in made.messages().values())
    return {one.name: one.status == api.WorkloadStatus.HEALTHY for one in workloads}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("unhealthy", {"a": False, "aa": False, "bbb": True, "dddd": False, "unbound": True}),
        ("withdraw", {"bbb": True, "unbound": True}),
        ("ignore", {"a": True, "aa": False, "bbb": True, "dddd": True, "unbound": True}),
    ],
)
def test_workloads_on_nodes_that_are_down_are_unhealthy_or_withdrawn_or_as_if_nothing_were(
    policy: str, expected: dict[str, bool]
) -> None:
    made = mesh(policy)
    before = healthy(made)
    assert before == {"a": True, "aa": False, "bbb": True, "dddd": True, "unbound": True}
    down(made, "cpu-a", "dpu-a")
    assert healthy(made) == expected
    up(made, "cpu-a", "dpu-a")
    assert healthy(made) == before


@pytest.mark.parametrize("policy", POLICIES)
def test_pods_that_come_to_a_node_that_is_down_are_served_like_those_that_were_there(policy: str) -> None:
    there, coming = mesh(policy), MeshUnderTest(settings=settings(policy))
    down(there, "cpu-a", "dpu-a")
    down(coming, "cpu-a", "dpu-a")
    fill(coming)
    assert state(coming.registry.graph) == state(there.registry.graph)


def cost(made: MeshUnderTest, *nodes: str, reason: str = "LeaseExpired") -> dict[str, int]:
    before = runs(made.registry.graph)
    down(made, *nodes, reason=reason)
    after = runs(made.registry.graph)
    return {name: count - before[name] for name, count in after.items() if count != before[name]}


@pytest.mark.parametrize("policy", ["unhealthy", "withdraw"])
def test_a_verdict_reruns_the_pods_of_its_node_and_no_others(policy: str) -> None:
    assert cost(mesh(policy), "cpu-a") == {"pod workloads": 2}
    assert cost(mesh(policy), "elsewhere") == {}


def test_where_verdicts_are_ignored_they_rerun_nothing() -> None:
    assert cost(mesh("ignore"), "cpu-a", "dpu-a") == {}


def test_another_reason_changes_no_workload() -> None:
    made = mesh()
    down(made, "cpu-a")
    changed: list[str] = []
    for collection in made.mesh.addresses:
        made.registry.graph.listen(collection, changed.extend)
    down(made, "cpu-a", reason="CPUNotReady")
    assert changed == []


@pytest.mark.parametrize("policy", POLICIES)
def test_who_may_have_certificates_does_not_change(policy: str) -> None:
    made = mesh(policy)
    before = made.mesh.identities.accounts()
    down(made, "cpu-a", "dpu-a")
    assert made.mesh.identities.accounts() == before
    assert made.mesh.identities.carries("dpu-a", "ns/default")
