"""Why a node's ztunnel may or may not have an identity, in the words an operator reads."""

import pytest

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put
from xds_server.identity.authorization import Authorizer, Check
from xds_server.identity.explain import Explanation, explain
from xds_server.objects.cluster_conf import Pair, Single

TRUSTED = frozenset({"istio-system/ztunnel"})
WEB = "spiffe://cluster.local/ns/shop/sa/web"


def pod(name: str, node: str, account: str = "web", phase: str = "Running", namespace: str = "shop") -> str:
    return (
        f"{{kind: Pod, metadata: {{name: {name}, namespace: {namespace}}}, "
        f"spec: {{nodeName: '{node}', serviceAccountName: {account}}}, status: {{phase: {phase}}}}}"
    )


def node(name: str, ip: str) -> str:
    address = f"{{type: InternalIP, address: {ip}}}"
    return f"{{kind: Node, metadata: {{name: {name}}}, status: {{addresses: [{address}]}}}}"


@pytest.fixture
def mesh() -> MeshUnderTest:
    return MeshUnderTest(pod("z", "dpu", "ztunnel", namespace="istio-system"), pod("web-1", "cpu"))


def place(mesh: MeshUnderTest, *entries: Pair | Single) -> None:
    with mesh.registry.graph.transaction():
        for entry in entries:
            if isinstance(entry, Pair):
                mesh.registry.of(Pair).set(entry.cpu_node_ip, entry)
            else:
                mesh.registry.of(Single).set(entry.node_ip, entry)


def ask(mesh: MeshUnderTest, on: str, identity: str = WEB, trusted: frozenset[str] = TRUSTED) -> Explanation:
    return explain(Authorizer(mesh.mesh.identities, "cluster.local", trusted), on, identity)


def check(explanation: Explanation, name: str) -> Check:
    (found,) = (check for check in explanation.checks if check.name == name)
    return found


def role(mesh: MeshUnderTest, on: str) -> str:
    return check(ask(mesh, on), "node").found


class TestNode:
    def test_its_role_is_told_with_the_other_side_of_each_pair(self, mesh: MeshUnderTest) -> None:
        place(mesh, Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"), Pair("10.0.0.2", "10.0.0.9", "cpu2", "dpu"))
        assert role(mesh, "dpu") == "a DPU node that serves cpu, cpu2"
        assert role(mesh, "cpu2") == "a CPU node served by dpu"

    def test_a_single_node_is_known_by_the_name_in_the_map(self, mesh: MeshUnderTest) -> None:
        place(mesh, Single("10.0.0.5", "plain"))
        assert role(mesh, "plain") == "a single node"

    def test_a_single_node_is_known_by_its_address_alone(self, mesh: MeshUnderTest) -> None:
        place(mesh, Single("10.0.0.5"))
        put(mesh.registry, node("plain", "10.0.0.5"))
        put(mesh.registry, node("spare", "10.0.0.6"))
        assert role(mesh, "plain") == "a single node"
        assert role(mesh, "spare") == "a node that is not in the placement map"

    def test_a_pair_that_is_not_in_force_is_told_so(self, mesh: MeshUnderTest) -> None:
        place(mesh, Pair("10.0.0.1", "10.0.0.8", "cpu", "first"), Pair("10.0.0.2", "10.0.0.9", "cpu", "dpu"))
        not_carried = "cpu (not carried: another pair, with first, is in force)"
        assert role(mesh, "dpu") == f"a DPU node that serves {not_carried}"
        assert role(mesh, "cpu") == "a CPU node served by first"

    def test_a_pair_whose_other_side_has_no_name_is_told_so(self, mesh: MeshUnderTest) -> None:
        place(mesh, Pair("10.0.0.1", "10.0.0.9", None, "dpu"), Pair("10.0.0.2", "10.0.0.8", "cpu"))
        nobody = "10.0.0.1 (nothing names that node, so nothing of it is carried)"
        assert role(mesh, "dpu") == f"a DPU node that serves {nobody}"
        assert role(mesh, "cpu") == "a CPU node served by no node we know: nothing names the one at 10.0.0.8"

    def test_one_in_two_roles_is_told_both(self, mesh: MeshUnderTest) -> None:
        place(mesh, Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"), Single("10.0.0.5", "dpu"))
        assert role(mesh, "dpu") == "a DPU node that serves cpu and a single node"

    def test_one_that_nothing_names_is_unknown(self, mesh: MeshUnderTest) -> None:
        found = check(ask(mesh, "nowhere"), "node")
        assert (found.passed, found.found) == (False, "no such node")
        assert role(mesh, "dpu") == "a node that is not in the placement map"


class TestNodeAccount:
    def test_without_a_pod_of_one_nobody_would_be_granted_anything(self, mesh: MeshUnderTest) -> None:
        explanation = ask(mesh, "cpu")
        missing = check(explanation, "node account")
        assert (missing.passed, missing.found) == (False, "none")
        assert missing.expected == "a pod of istio-system/ztunnel running on cpu"
        assert check(explanation, "pods cpu carries").passed
        assert not explanation.allowed

    @pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
    def test_a_finished_pod_of_one_is_none(self, mesh: MeshUnderTest, phase: str) -> None:
        put(mesh.registry, pod("z", "dpu", "ztunnel", phase, "istio-system"))
        assert not check(ask(mesh, "dpu"), "node account").passed

    def test_an_account_of_the_same_name_in_another_namespace_is_none(self, mesh: MeshUnderTest) -> None:
        put(mesh.registry, pod("z", "cpu", "ztunnel", namespace="istio"))
        assert not check(ask(mesh, "cpu"), "node account").passed

    def test_where_no_account_is_trusted_that_is_what_is_told(self, mesh: MeshUnderTest) -> None:
        missing = check(ask(mesh, "dpu", trusted=frozenset()), "node account")
        assert missing.expected == "a pod of an account, but none is trusted running on dpu"


class TestPods:
    def test_they_are_told_by_phase_and_node_though_they_are_elsewhere(self, mesh: MeshUnderTest) -> None:
        put(mesh.registry, pod("web-2", "", phase="Pending"))
        put(mesh.registry, pod("web-3", "cpu", phase="Succeeded"))
        put(mesh.registry, pod("web-4", "cpu"))
        explanation = ask(mesh, "dpu")
        assert not explanation.allowed
        told = check(explanation, "pods of the account")
        assert told.found == "1 Pending on no node, 2 Running on cpu, 1 Succeeded on cpu"

    def test_of_many_nodes_the_first_are_told_and_the_rest_counted(self, mesh: MeshUnderTest) -> None:
        for number in range(9):
            put(mesh.registry, pod(f"many-{number}", f"n{number}"))
        told = check(ask(mesh, "dpu"), "pods of the account").found
        assert told.startswith("1 Running on cpu, 1 Running on n0")
        assert told.endswith("1 Running on n3 and 5 more")

    def test_none_at_all_is_a_check_that_fails(self, mesh: MeshUnderTest) -> None:
        told = check(ask(mesh, "dpu", WEB + "-2"), "pods of the account")
        assert (told.passed, told.found) == (False, "none")


def test_the_verdict_follows_the_map_at_once(mesh: MeshUnderTest) -> None:
    assert not ask(mesh, "dpu").allowed
    place(mesh, Pair("10.0.0.1", "10.0.0.9", "cpu", "dpu"))
    assert ask(mesh, "dpu").allowed
    place(mesh, Pair("10.0.0.1", "10.0.0.8", "cpu", "other"))
    assert not ask(mesh, "dpu").allowed


def test_a_hostile_identity_is_quoted_and_cut_short(mesh: MeshUnderTest) -> None:
    explanation = ask(mesh, "dpu", "\x1b[2J" + "a" * 10_000)
    assert len(check(explanation, "identity").found) < 300
    assert "\x1b" not in check(explanation, "identity").found
    assert not explanation.allowed
