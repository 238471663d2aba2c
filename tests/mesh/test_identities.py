"""Which identities a node carries: pods by account and node, and the nodes a node serves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put, remove
from xds_server.mesh.identities import Identities
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import Pod
from xds_server.store.derive import Fetch


def pod(name: str, node: str = "", account: str = "", phase: str = "Running", namespace: str = "shop") -> str:
    return (
        f"{{kind: Pod, metadata: {{name: {name}, namespace: {namespace}}}, "
        f"spec: {{nodeName: '{node}', serviceAccountName: '{account}'}}, status: {{phase: {phase}}}}}"
    )


def node(name: str, ip: str) -> str:
    address = f"{{type: InternalIP, address: {ip}}}"
    return f"{{kind: Node, metadata: {{name: {name}}}, status: {{addresses: [{address}]}}}}"


def pair_up(mesh: MeshUnderTest, *pairs: Pair) -> None:
    with mesh.registry.graph.transaction():
        source = mesh.registry.of(Pair)
        for key in list(source):
            source.delete(key)
        for pair in pairs:
            source.set(pair.cpu_node_ip, pair)


def names(identities: Identities, account: str) -> list[str]:
    return sorted(held.name for held in identities.pods_of(account))


class TestPods:
    def test_those_of_an_account_are_all_there_are_whatever_their_state(self) -> None:
        mesh = MeshUnderTest(
            pod("a", "n", "web"), pod("b", "", "web"), pod("c", "n", "web", "Failed"), pod("d", "n", "web-2")
        )
        assert names(mesh.mesh.identities, "shop/web") == ["a", "b", "c"]

    def test_those_on_a_node_are_bound_to_it_and_not_finished(self) -> None:
        mesh = MeshUnderTest(
            pod("b", "n", "web"),
            pod("a", "n", "web", "Pending"),
            pod("c", "n", "web", "Succeeded"),
            pod("d", "n1", "web"),
            pod("e", "n", "web", namespace="other"),
        )
        identities = mesh.mesh.identities
        assert [held.name for held in identities.pods_on("shop/web", "n")] == ["a", "b"]
        assert identities.pods_on("shop/web", "") == []

    def test_one_without_account_is_of_the_default_one(self) -> None:
        identities = MeshUnderTest(pod("a", "n")).mesh.identities
        assert identities.runs_on("shop/default", "n")

    @pytest.mark.parametrize("phase", ["Pending", "Running", "Unknown"])
    def test_one_counts_as_soon_as_it_is_bound(self, phase: str) -> None:
        mesh = MeshUnderTest(pod("a", "", "web", phase))
        assert not mesh.mesh.identities.runs("shop/web")
        put(mesh.registry, pod("a", "n", "web", phase))
        assert mesh.mesh.identities.runs("shop/web")

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
    def test_one_counts_no_more_when_it_is_finished(self, phase: str) -> None:
        mesh = MeshUnderTest(pod("a", "n", "web"))
        put(mesh.registry, pod("a", "n", "web", phase))
        assert not mesh.mesh.identities.runs("shop/web")
        assert not mesh.mesh.identities.runs_on("shop/web", "n")

    def test_one_that_is_deleted_leaves_nothing(self) -> None:
        mesh = MeshUnderTest(pod("a", "n", "web"), pod("b", "n", "web"))
        remove(mesh.registry, Pod, "shop/a")
        assert names(mesh.mesh.identities, "shop/web") == ["b"]
        remove(mesh.registry, Pod, "shop/b")
        assert names(mesh.mesh.identities, "shop/web") == []
        assert not mesh.mesh.identities.runs("shop/web")

    @pytest.mark.parametrize(
        ("account", "bound_to"),
        [("pay@cpu", "n"), ("pay@", "n"), ("pay", "cpu@n"), ("@", "cpu"), ("pay@", "")],
    )
    def test_one_with_an_at_sign_in_its_names_is_taken_for_no_other(
        self, account: str, bound_to: str
    ) -> None:
        """A manifest may say what the API server would refuse."""
        identities = MeshUnderTest(pod("a", bound_to, account)).mesh.identities
        assert not identities.runs("shop/pay")
        assert not identities.runs_on("shop/pay", "cpu")
        assert not identities.carries("cpu", "shop/pay")
        assert identities.accounts() == {}


class TestNodes:
    def test_a_node_in_no_pair_carries_itself(self) -> None:
        assert MeshUnderTest().mesh.identities.carried_nodes("n") == ("n",)

    def test_a_dpu_node_carries_itself_and_every_cpu_node_it_serves(self) -> None:
        mesh = MeshUnderTest()
        pair_up(mesh, Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"), Pair("10.0.0.2", "10.0.0.9", "cpu2", "dpu"))
        assert mesh.mesh.identities.carried_nodes("dpu") == ("dpu", "cpu", "cpu2")

    def test_a_cpu_node_carries_itself_alone(self) -> None:
        """Its own ztunnel, where one runs, never gets what is the DPU's."""
        mesh = MeshUnderTest()
        pair_up(mesh, Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"))
        assert mesh.mesh.identities.carried_nodes("cpu") == ("cpu",)

    def test_of_two_pairs_that_mean_one_cpu_node_the_one_in_force_carries_it(self) -> None:
        mesh = MeshUnderTest()
        pair_up(mesh, Pair("10.0.0.2", "10.0.0.8", "cpu", "late"), Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"))
        identities = mesh.mesh.identities
        assert [identities.carried_nodes(name) for name in ("dpu", "late")] == [("dpu", "cpu"), ("late",)]

    def test_a_cpu_node_is_carried_once_its_name_is_known(self) -> None:
        mesh = MeshUnderTest(pod("a", "cpu", "web"))
        pair_up(mesh, Pair("10.0.0.1", "10.0.0.9"))
        assert not mesh.mesh.identities.carries("dpu", "shop/web")
        put(mesh.registry, node("cpu", "10.0.0.1"))
        assert not mesh.mesh.identities.carries("dpu", "shop/web")
        put(mesh.registry, node("dpu", "10.0.0.9"))
        assert mesh.mesh.identities.carries("dpu", "shop/web")

    def test_pairs_without_names_do_not_meet_under_the_empty_one(self) -> None:
        mesh = MeshUnderTest(pod("a", "", "web"), pod("b", "cpu", "pay"))
        pair_up(mesh, Pair("10.0.0.1", "10.0.0.9"), Pair("10.0.0.2", "10.0.0.8", "cpu"))
        assert not mesh.mesh.identities.carries("", "shop/web")
        assert not mesh.mesh.identities.carries("", "shop/pay")

    def test_accounts_are_told_with_every_node_that_carries_them(self) -> None:
        mesh = MeshUnderTest(pod("a", "cpu", "web"), pod("b", "n", "web"), pod("c", "", "web"), pod("d", "n"))
        pair_up(mesh, Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"))
        assert mesh.mesh.identities.accounts() == {"shop/web": {"cpu", "dpu", "n"}, "shop/default": {"n"}}

    @given(st.lists(st.tuples(*[st.sampled_from(["", "a", "b", "c"])] * 2), max_size=4))
    def test_they_are_those_whose_workloads_placement_sends_there(self, pairs: list[tuple[str, str]]) -> None:
        """What a ztunnel is told it serves, and whose identities it may have, never differ."""
        mesh = MeshUnderTest()
        made = (Pair(f"10.0.0.{i}", f"10.0.1.{i}", c or None, d or None) for i, (c, d) in enumerate(pairs))
        pair_up(mesh, *made)
        placement, identities = mesh.mesh.placement, mesh.mesh.identities
        for name in "abc":
            sent = {n for n in "abc" if n == name or placement.serving_node(Fetch(), n) == name}
            assert set(identities.carried_nodes(name)) == sent
