"""DPU nodes in a second cluster: whose names are whose, and what operators are told of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put
from tests.helpers.two_clusters import TwoClusters, node, place, pod, put_dpu
from xds_server.mesh.placement import DPU_CLUSTER
from xds_server.mesh.placement_report import PlacementReport, placement_report
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.kubernetes import DpuNode, DpuPod

CPU, DPU, OTHER, SPARE = "10.0.0.1", "10.0.0.9", "10.0.0.2", "10.0.0.8"


def serving(mesh: MeshUnderTest, key: str = "shop/web") -> str:
    return mesh.workload(f"cluster0//Pod/{key}").node


def carried(mesh: MeshUnderTest, on: str, cluster: str = "") -> set[str]:
    return set(mesh.mesh.identities.carried_nodes(on, cluster))


class TestNames:
    def test_each_side_of_a_pair_is_named_by_the_nodes_of_its_own_cluster(self) -> None:
        """The two clusters may even use one address each for itself."""
        mesh = TwoClusters(
            pod("shop/web", "cpu", ip="10.1.0.1"),
            node("cpu", CPU),
            node("impostor", DPU),
            dpu=[node("dpu", DPU), node("other-impostor", CPU)],
        )
        mesh.place(Pair(CPU, DPU))
        assert serving(mesh) == "dpu"
        assert [(pair.cpu_node, pair.dpu_node) for _, pair in mesh.mesh.placement.placed.items()] == [
            ("cpu", "dpu")
        ]

    def test_a_dpu_node_that_only_the_first_cluster_has_is_not_found(self) -> None:
        mesh = TwoClusters(pod("shop/web", "cpu", ip="10.1.0.1"), node("cpu", CPU), node("impostor", DPU))
        mesh.place(Pair(CPU, DPU))
        assert serving(mesh) == "cpu"
        assert placement_report(mesh.mesh.placement).unresolved == (DPU,)

    def test_a_single_node_is_named_by_the_first_cluster(self) -> None:
        mesh = TwoClusters(node("plain", OTHER), dpu=[node("impostor", OTHER)])
        mesh.place(Single(OTHER))
        assert [single.node for single in placement_report(mesh.mesh.placement).singles] == ["plain"]

    def test_workloads_move_when_the_node_of_their_dpu_appears_and_back_when_it_goes(self) -> None:
        mesh = TwoClusters(pod("shop/web", "cpu", ip="10.1.0.1"))
        mesh.place(Pair(CPU, DPU, "cpu"))
        assert serving(mesh) == "cpu"
        put_dpu(mesh.registry, node("dpu", DPU))
        assert serving(mesh) == "dpu"
        with mesh.registry.graph.transaction():
            mesh.registry.of(DpuNode).delete("dpu")
        assert serving(mesh) == "cpu"

    def test_pods_of_the_dpu_cluster_are_no_workloads(self) -> None:
        mesh = TwoClusters(pod("shop/web", "cpu", ip="10.1.0.1"), dpu=[pod("shop/db", "dpu", ip="10.2.0.1")])
        assert set(mesh.messages()) == {"cluster0//Pod/shop/web"}

    def test_a_pod_of_each_cluster_under_one_key_leaves_the_workload_alone(self) -> None:
        mesh = TwoClusters(pod("shop/web", "cpu", ip="10.1.0.1"))
        before = mesh.messages()
        put_dpu(mesh.registry, pod("shop/web", "dpu", ip="10.2.0.1"))
        assert mesh.messages() == before
        with mesh.registry.graph.transaction():
            mesh.registry.of(DpuPod).delete("shop/web")
        assert mesh.messages() == before


class TestOneCluster:
    def test_rows_of_a_dpu_cluster_count_for_nothing(self) -> None:
        mesh = MeshUnderTest(pod("shop/web", "cpu", ip="10.1.0.1"), node("cpu", CPU))
        place(mesh.registry, Pair(CPU, DPU))
        put_dpu(mesh.registry, node("dpu", DPU))
        assert serving(mesh) == "cpu"
        assert carried(mesh, "cpu", DPU_CLUSTER) == set()
        assert placement_report(mesh.mesh.placement).unmapped == ()

    @pytest.mark.parametrize(
        ("mesh", "missing"), [(MeshUnderTest, set()), (TwoClusters, {"DpuNode", "DpuPod"})]
    )
    def test_nobody_waits_for_them(self, mesh: type[MeshUnderTest], missing: set[str]) -> None:
        assert {"DpuNode", "DpuPod"} & set(mesh().registry.unsynced) == missing


class TestCarried:
    @pytest.mark.parametrize(
        ("on", "cluster", "nodes"),
        [
            ("dpu", DPU_CLUSTER, {"cpu", "same"}),
            ("same", DPU_CLUSTER, {"cpu2"}),
            ("spare", DPU_CLUSTER, set()),
            ("cpu", DPU_CLUSTER, set()),
            ("", DPU_CLUSTER, set()),
            ("dpu", "", {"dpu"}),
            ("same", "", {"same"}),
            ("cpu", "", {"cpu"}),
            ("plain", "", {"plain"}),
        ],
    )
    def test_by_the_map_only_a_node_of_the_dpu_cluster_carries_and_never_itself(
        self, on: str, cluster: str, nodes: set[str]
    ) -> None:
        mesh = TwoClusters()
        mesh.place(
            Pair(CPU, DPU, "cpu", "dpu"),
            Pair(OTHER, SPARE, "cpu2", "same"),
            Pair("10.0.0.3", DPU, "same", "dpu"),
            Single("10.0.0.4", "plain"),
        )
        assert carried(mesh, on, cluster) == nodes

    def test_a_cpu_node_and_its_dpu_node_may_have_one_name(self) -> None:
        mesh = TwoClusters(pod("shop/web", "worker", "web"))
        mesh.place(Pair(CPU, DPU, "worker", "worker"))
        assert mesh.mesh.identities.carries("worker", "shop/web", DPU_CLUSTER)
        assert placement_report(mesh.mesh.placement).conflicts == ()

    def test_a_pair_in_force_without_a_name_leaves_nothing_to_another_pair(self) -> None:
        """The CPU node then serves itself, which a DPU node of its name must not be taken for."""
        mesh = TwoClusters(pod("shop/web", "worker", "web"))
        mesh.place(Pair("10.0.0.1", "10.0.1.1", "worker"), Pair("10.0.0.2", "10.0.1.2", "worker", "worker"))
        assert carried(mesh, "worker", DPU_CLUSTER) == set()
        put_dpu(mesh.registry, node("dpu", "10.0.1.1"))
        assert carried(mesh, "dpu", DPU_CLUSTER) == {"worker"}

    def test_pods_are_looked_up_in_the_cluster_that_is_asked_for(self) -> None:
        mesh = TwoClusters(
            pod("shop/web", "n", "web", uid="first"), dpu=[pod("shop/web", "n", "db", uid="second")]
        )
        identities = mesh.mesh.identities
        found = [identities.within(cluster).pod("shop/web") for cluster in ("", DPU_CLUSTER)]
        assert [held.metadata.uid for held in found if held] == ["first", "second"]
        assert [identities.within(cluster).runs("shop/db") for cluster in ("", DPU_CLUSTER)] == [False, True]

    def test_those_who_may_hold_an_identity_are_told_with_node_accounts_of_the_dpu_cluster(self) -> None:
        mesh = TwoClusters(
            pod("shop/web", "cpu", "web"), dpu=[pod("shop/db", "n", "db"), pod("sys/z", "dpu", "ztunnel")]
        )
        mesh.place(Pair(CPU, DPU, "cpu", "dpu"))
        assert mesh.mesh.identities.accounts(frozenset({"sys/ztunnel"})) == {
            "shop/web": {"cpu", "dpu"},
            "sys/ztunnel": {"dpu"},
        }


class TestReport:
    def report(self, mesh: TwoClusters) -> PlacementReport:
        return placement_report(mesh.mesh.placement)

    def test_nodes_in_no_role_are_told_of_both_clusters(self) -> None:
        mesh = TwoClusters(
            node("cpu", CPU), node("dpu", "192.0.2.1"), dpu=[node("dpu", DPU), node("cpu", "192.0.2.2")]
        )
        mesh.place(Pair(CPU, DPU))
        assert self.report(mesh).unmapped == ("dpu", "cpu (DPU cluster)")

    def test_labels_are_held_against_the_role_in_their_own_cluster(self) -> None:
        mesh = TwoClusters(
            node("same", CPU, "dpu"),
            node("cpu", OTHER, "cpu"),
            dpu=[node("same", DPU, "dpu"), node("cpu", SPARE, "cpu"), node("odd", "192.0.2.9", "gpu")],
        )
        mesh.place(Pair(CPU, DPU), Pair(OTHER, SPARE))
        assert self.report(mesh).conflicts == (
            "node same has label offMeshNodeType=dpu, in the map it is cpu",
            "node cpu (DPU cluster) has label offMeshNodeType=cpu, in the map it is dpu",
            "node odd (DPU cluster) has label offMeshNodeType=gpu: expected cpu or dpu",
        )

    def test_a_name_that_its_node_does_not_bear_is_told_by_the_nodes_of_its_cluster(self) -> None:
        mesh = TwoClusters(node("dpu", DPU), dpu=[node("actual", DPU), node("other", CPU)])
        mesh.place(Pair(CPU, DPU, "cpu", "told"))
        assert self.report(mesh).conflicts == (
            f"the map calls the node at {DPU} told, its Node object actual: the map's name is in force",
        )

    @pytest.mark.parametrize(
        ("entries", "told"),
        [
            ((Pair(CPU, DPU, "cpu", "same"), Single(OTHER, "same")), True),
            ((Pair(CPU, DPU, "cpu", "known"),), True),
            ((Pair(CPU, DPU, "cpu", "same"), Pair(OTHER, SPARE, "same")), True),
            ((Pair(CPU, DPU, "cpu", "same"), Pair(OTHER, SPARE, "same", "dpu")), False),
            ((Pair(CPU, DPU, "known", "known"),), False),
        ],
        ids=["single", "in no role", "pair without DPU name", "served by another", "served by its namesake"],
    )
    def test_one_name_for_two_serving_nodes_is_a_conflict(
        self, entries: tuple[Pair | Single, ...], told: bool
    ) -> None:
        """A client knows a serving node by name, so each would take the other's workloads for its own."""
        mesh = TwoClusters(node("known", "192.0.2.7"))
        mesh.place(*entries)
        assert bool([text for text in self.report(mesh).conflicts if "under one name" in text]) is told

    def test_the_same_node_twice_in_one_cluster_is_still_in_two_roles(self) -> None:
        mesh = TwoClusters()
        mesh.place(Pair(CPU, DPU, "n", "dpu"), Single(OTHER, "n"))
        assert self.report(mesh).conflicts == ("node n is in more than one role: cpu, single",)


NAMES = st.sampled_from(("a", "b", "c"))
IPS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
EDITS = st.one_of(
    st.tuples(st.just("first"), st.builds(node, NAMES, st.sampled_from(IPS))),
    st.tuples(st.just("dpu"), st.builds(node, NAMES, st.sampled_from(IPS))),
    st.tuples(st.just("first"), st.builds(lambda on: pod("shop/web", on, "web", ip="10.1.0.1"), NAMES)),
    st.tuples(st.just("dpu"), st.builds(lambda on: pod("shop/web", on, "web", ip="10.2.0.1"), NAMES)),
)
SIDES = st.tuples(st.sampled_from(IPS), st.one_of(st.none(), NAMES))
PAIRS = st.lists(
    st.builds(lambda cpu, dpu: Pair(cpu[0], dpu[0], cpu[1], dpu[1]), SIDES, SIDES),
    max_size=3,
    unique_by=lambda pair: pair.cpu_node_ip,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EDITS, max_size=8), PAIRS, PAIRS)
def test_what_is_carried_is_what_is_served_however_it_came_about(
    edits: list[tuple[str, str]], first_map: list[Pair], last_map: list[Pair]
) -> None:
    mesh = TwoClusters()
    mesh.place(*first_map)
    for where, text in edits:
        (put if where == "first" else put_dpu)(mesh.registry, text)
    mesh.place(*last_map)
    scratch = TwoClusters()
    scratch.place(*last_map)
    for where, text in edits:
        (put if where == "first" else put_dpu)(scratch.registry, text)
    assert mesh.messages() == scratch.messages()
    placed = [pair for _, pair in sorted(mesh.mesh.placement.placed.items())]
    for name in "abc":
        in_force = [next((p for p in placed if p.cpu_node == cpu), None) for cpu in "abc"]
        served = {pair.cpu_node for pair in in_force if pair is not None and pair.dpu_node == name}
        assert carried(mesh, name, DPU_CLUSTER) == served
        assert carried(mesh, name) == {name}
    for pod_row in mesh.mesh.pods.rows.values():
        on = pod_row.spec.node_name or ""
        by = [pair.dpu_node for pair in placed if pair.cpu_node == on][:1]
        assert serving(mesh) == (by[0] if by and by[0] else on)
