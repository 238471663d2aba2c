"""Placement: the serving node of workloads, and what operators are told of the map."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put
from xds_server.mesh.placement_report import placement_report
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.store.derive import Derivation

CPU, DPU, OTHER = "192.168.50.130", "192.168.50.131", "192.168.50.132"


def node(name: str, ip: str, label: str = "") -> str:
    labels = f", labels: {{offMeshNodeType: {label}}}" if label else ""
    address = f"{{addresses: [{{type: InternalIP, address: '{ip}'}}, {{type: Hostname, address: {name}}}]}}"
    return f"{{kind: Node, metadata: {{name: {name}{labels}}}, status: {address}}}"


def pod(name: str, on: str) -> str:
    address = f"10.0.0.{sum(name.encode()) % 250 + 1}"
    return (
        f"{{kind: Pod, metadata: {{name: {name}, namespace: ns}}, "
        f"spec: {{nodeName: {on}}}, status: {{podIP: {address}}}}}"
    )


def pair_up(mesh: MeshUnderTest, *pairs: Pair, singles: tuple[Single, ...] = ()) -> None:
    """Make these all pairs and singles of the map."""
    with mesh.registry.graph.transaction():
        for kind, rows in (
            (Pair, {row.cpu_node_ip: row for row in pairs}),
            (Single, {row.node_ip: row for row in singles}),
        ):
            source = mesh.registry.of(kind)
            for gone in [key for key in source if key not in rows]:
                source.delete(key=gone)
            for key, row in rows.items():
                source.set(key, row)


def serving(mesh: MeshUnderTest, name: str = "app") -> str:
    return mesh.workload(f"cluster0//Pod/ns/{name}").node


def test_a_pod_on_a_cpu_node_is_served_by_its_dpu_node() -> None:
    mesh = MeshUnderTest(pod("app", "master"))
    pair_up(mesh, Pair(CPU, DPU, "master", "master-dpu"))
    assert serving(mesh) == "master-dpu"


def test_a_pod_elsewhere_is_served_by_its_own_node() -> None:
    mesh = MeshUnderTest(pod("app", "plain"), pod("daemon", "master-dpu"), pod("unbound", "''"))
    pair_up(mesh, Pair(CPU, DPU, "master", "master-dpu"))
    assert [serving(mesh, name) for name in ("app", "daemon", "unbound")] == ["plain", "master-dpu", ""]


def test_names_are_resolved_from_the_internal_ips_of_nodes_whenever_they_appear() -> None:
    mesh = MeshUnderTest(pod("app", "master"))
    pair_up(mesh, Pair(CPU, DPU))
    assert serving(mesh) == "master"
    put(mesh.registry, node("master", CPU))
    assert serving(mesh) == "master"
    put(mesh.registry, node("master-dpu", DPU))
    assert serving(mesh) == "master-dpu"


def test_one_dpu_serves_several_cpu_nodes() -> None:
    mesh = MeshUnderTest(pod("app", "one"), pod("other", "two"))
    pair_up(mesh, Pair(CPU, DPU, "one", "dpu"), Pair(OTHER, DPU, "two", "dpu"))
    assert [serving(mesh), serving(mesh, "other")] == ["dpu", "dpu"]


def test_a_changed_pair_moves_only_the_workloads_of_its_cpu_node() -> None:
    mesh = MeshUnderTest(pod("app", "one"), pod("other", "two"))
    pair_up(mesh, Pair(CPU, DPU, "one", "dpu"), Pair(OTHER, DPU, "two", "dpu"))
    workloads = mesh.mesh.addresses[-1]
    assert isinstance(workloads, Derivation)
    before = workloads.runs
    pair_up(mesh, Pair(CPU, DPU, "one", "new-dpu"), Pair(OTHER, DPU, "two", "dpu"))
    assert [serving(mesh), serving(mesh, "other")] == ["new-dpu", "dpu"]
    assert workloads.runs - before == 1


def test_a_pair_that_goes_gives_the_workloads_back_to_their_node() -> None:
    mesh = MeshUnderTest(pod("app", "one"))
    pair_up(mesh, Pair(CPU, DPU, "one", "dpu"))
    pair_up(mesh)
    assert serving(mesh) == "one"


def test_placement_changes_the_node_and_nothing_else_of_a_workload() -> None:
    zone = "{kind: Node, metadata: {name: one, labels: {topology.kubernetes.io/zone: z}}}"
    mesh = MeshUnderTest(zone, pod("app", "one"))
    before = mesh.workload("cluster0//Pod/ns/app")
    pair_up(mesh, Pair(CPU, DPU, "one", "dpu"))
    after = mesh.workload("cluster0//Pod/ns/app")
    before.node = "dpu"
    assert after == before


def test_the_report_names_pairs_singles_and_nodes_in_no_role() -> None:
    mesh = MeshUnderTest(
        node("master", CPU), node("dpu", DPU), node("plain", OTHER), node("lost", "192.0.2.9")
    )
    pair_up(mesh, Pair(CPU, DPU), singles=(Single(OTHER),))
    report = placement_report(mesh.mesh.placement)
    assert [(pair.cpu_node, pair.dpu_node) for pair in report.pairs] == [("master", "dpu")]
    assert [single.node for single in report.singles] == ["plain"]
    assert (report.unmapped, report.conflicts, report.unresolved) == (("lost",), (), ())


def test_the_report_names_addresses_without_a_node() -> None:
    mesh = MeshUnderTest(node("master", CPU))
    pair_up(mesh, Pair(CPU, DPU), singles=(Single(OTHER),))
    assert placement_report(mesh.mesh.placement).unresolved == (DPU, OTHER)


def test_the_report_names_labels_that_disagree_with_the_map() -> None:
    mesh = MeshUnderTest(
        node("master", CPU, "dpu"),
        node("dpu", DPU, "dpu"),
        node("plain", OTHER, "cpu"),
        node("odd", "192.0.2.9", "gpu"),
    )
    pair_up(mesh, Pair(CPU, DPU), singles=(Single(OTHER),))
    assert placement_report(mesh.mesh.placement).conflicts == (
        "node master has label offMeshNodeType=dpu, in the map it is cpu",
        "node odd has label offMeshNodeType=gpu: expected cpu or dpu",
        "node plain has label offMeshNodeType=cpu, in the map it is single",
    )


@pytest.mark.parametrize(
    ("cpu", "dpu", "told"),
    [
        ("{topology.kubernetes.io/zone: a}", "{topology.kubernetes.io/zone: b}", True),
        ("{topology.kubernetes.io/region: r}", "{topology.kubernetes.io/region: s}", True),
        ("{topology.kubernetes.io/zone: a}", "{topology.kubernetes.io/zone: a}", False),
        ("{topology.kubernetes.io/zone: a}", "{}", False),
        ("{topology.istio.io/subzone: a}", "{topology.istio.io/subzone: b}", False),
    ],
)
def test_the_report_names_a_pair_in_two_zones(cpu: str, dpu: str, told: bool) -> None:
    mesh = MeshUnderTest(
        f"{{kind: Node, metadata: {{name: master, labels: {cpu}}}}}",
        f"{{kind: Node, metadata: {{name: master-dpu, labels: {dpu}}}}}",
    )
    pair_up(mesh, Pair(CPU, DPU, "master", "master-dpu"))
    conflicts = placement_report(mesh.mesh.placement).conflicts
    assert any("CPU node master is in zone" in conflict for conflict in conflicts) is told


def test_the_report_names_a_name_that_its_node_does_not_bear() -> None:
    mesh = MeshUnderTest(node("actual", CPU))
    pair_up(mesh, Pair(CPU, DPU, "told", "dpu"))
    assert placement_report(mesh.mesh.placement).conflicts == (
        f"the map calls the node at {CPU} told, its Node object actual: the map's name is in force",
    )


def test_the_report_names_a_node_that_names_bring_into_two_roles() -> None:
    mesh = MeshUnderTest(node("same", CPU), node("same-too", OTHER))
    pair_up(mesh, Pair(CPU, DPU, dpu_node_name="dpu"), Pair(OTHER, "192.0.2.1", "same", "dpu2"))
    assert any(
        "CPU node same is in 2 pairs" in text for text in placement_report(mesh.mesh.placement).conflicts
    )


NAMES = ("a", "b", "c", "d")
IPS = (CPU, DPU, OTHER, "192.0.2.9")
edits = st.one_of(
    st.builds(lambda name, ip: ("node", node(name, ip)), st.sampled_from(NAMES), st.sampled_from(IPS)),
    st.builds(lambda name, on: ("pod", pod(name, on)), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.builds(
        lambda ips, names: ("pairs", (Pair(ips[0], ips[1], names[0], names[1]),)),
        st.permutations(IPS),
        st.tuples(*(st.sampled_from((*NAMES, None)) for _ in range(2))),
    ),
    st.just(("pairs", ())),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(edits, max_size=12))
def test_after_any_edits_the_mesh_equals_one_built_from_scratch(steps: list[tuple[str, object]]) -> None:
    mesh = MeshUnderTest()
    pairs: tuple[Pair, ...] = ()
    for kind, what in steps:
        if kind == "pairs":
            assert isinstance(what, tuple)
            pairs = what
            pair_up(mesh, *pairs)
        else:
            put(mesh.registry, str(what))
    scratch = MeshUnderTest()
    pair_up(scratch, *pairs)
    for source in mesh.registry:
        with scratch.registry.graph.transaction():
            for key, row in source.items():
                scratch.registry.of(type(row)).set(key, row)
    assert mesh.messages() == scratch.messages()
