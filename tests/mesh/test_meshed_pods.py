"""Which pods are captured, and what the agent of each node is told of them."""

from ipaddress import ip_address

import pytest

from tests.helpers.graphs import runs
from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put, remove
from xds_server.mesh.meshed_pods import MeshedPods
from xds_server.mesh.node_programs import Around, ClusterNodes, NodePrograms
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import Lease, Namespace, Node, Pod
from xds_server.objects.liveness import NodeDown, ProgramHeld
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api
from xds_server.settings import DatapathSettings, MeshSettings

SETTINGS = MeshSettings()
DATAPATH = DatapathSettings()


def pod(key: str, node: str = "cpu-a", ip: str = "10.0.0.1", more: str = "", spec: str = "") -> str:
    inside, _, name = key.partition("/")
    return (
        f"{{kind: Pod, metadata: {{name: {name}, namespace: {inside}, uid: u-{name}{more}}}, "
        f"spec: {{nodeName: '{node}'{spec}}}, status: {{phase: Running, podIP: '{ip}', "
        "conditions: [{type: Ready, status: 'True'}]}}"
    )


def namespace(name: str, mode: str = "ambient") -> str:
    labels = f", labels: {{istio.io/dataplane-mode: {mode}}}" if mode else ""
    return f"{{kind: Namespace, metadata: {{name: {name}{labels}}}}}"


def node(name: str, ip: str, cidr: str = "") -> str:
    spec = f", spec: {{podCIDR: {cidr}}}" if cidr else ""
    address = f"addresses: [{{type: InternalIP, address: {ip}}}]"
    return f"{{kind: Node, metadata: {{name: {name}}}{spec}, status: {{{address}}}}}"


class Fed(MeshUnderTest):
    """A mesh with the programs of its nodes."""

    def __init__(self, *texts: str, datapath: DatapathSettings = DATAPATH) -> None:
        super().__init__(settings=SETTINGS)
        graph, registry = self.registry.graph, self.registry
        self.meshed = MeshedPods(graph, registry.of(Pod), registry.of(Namespace), SETTINGS)
        nodes = ClusterNodes(graph, "node", registry.of(Node), registry.of(Pod), datapath)
        told = (registry.of(ProgramHeld), registry.of(Lease), registry.of(NodeDown))
        around = Around(self.mesh.placement, self.meshed, datapath, *told)
        self.programs = NodePrograms(graph, around, nodes, nodes)
        for text in texts:
            put(registry, text)

    def pair(self) -> None:
        with self.registry.graph.transaction():
            pairs = self.registry.of(Pair)
            pairs.set("192.0.2.1", Pair("192.0.2.1", "192.0.2.2", "cpu-a", "dpu-a"))

    def of(self, node: str) -> api.NodeProgram:
        return api.NodeProgram.FromString(self.programs.programs.rows[node])

    def uids(self, node: str) -> list[str]:
        return [pod.uid for pod in self.of(node).pods]


NODES = (
    node("cpu-a", "192.0.2.1", "10.0.0.0/24"),
    node("dpu-a", "192.0.2.2", "10.0.1.0/24"),
    node("plain", "192.0.2.3"),
)
ZTUNNEL = pod("istio-system/zt", "dpu-a", "10.0.1.9", ", labels: {app: ztunnel}")
AMBIENT = ", labels: {istio.io/dataplane-mode: ambient}"
OUT = ", labels: {istio.io/dataplane-mode: none}"
OTHER = ", labels: {istio.io/dataplane-mode: sidecar}"
SIDECAR = ", annotations: {sidecar.istio.io/status: '{}'}"


@pytest.mark.parametrize(
    ("what", "text", "captured"),
    [
        ("by its namespace", pod("shop/a"), True),
        ("by its own label", pod("plain/a", more=AMBIENT), True),
        ("in a namespace that is not in the mesh", pod("plain/a"), False),
        ("opted out", pod("shop/a", more=OUT), False),
        ("with a label that says neither", pod("shop/a", more=OTHER), True),
        ("the same, elsewhere", pod("plain/a", more=OTHER), False),
        ("with a sidecar", pod("shop/a", more=SIDECAR), False),
        ("in the host's network", pod("shop/a", spec=", hostNetwork: true"), False),
        ("without a node", pod("shop/a", node=""), False),
        ("without an address", pod("shop/a", ip=""), False),
        ("finished", pod("shop/a").replace("Running", "Succeeded"), False),
        ("failed", pod("shop/a").replace("Running", "Failed"), False),
        ("of Kubernetes", pod("kube-system/a", more=AMBIENT), False),
        ("of the mesh", pod("istio-system/a", more=AMBIENT), False),
    ],
)
def test_a_pod_is_captured_as_istio_cni_decides(what: str, text: str, captured: bool) -> None:
    fed = Fed(namespace("shop"), namespace("plain", ""), namespace("kube-system"), text)
    assert bool(fed.meshed.pods.rows) is captured, what


def test_a_namespaces_label_acts_on_pods_that_are_there() -> None:
    fed = Fed(namespace("shop", ""), pod("shop/a"), pod("shop/b", ip="10.0.0.2", more=OUT))
    assert not fed.meshed.pods.rows
    put(fed.registry, namespace("shop"))
    assert set(fed.meshed.pods.rows) == {"shop/a"}
    remove(fed.registry, Namespace, "shop")
    assert not fed.meshed.pods.rows


def test_a_cpu_node_is_told_its_pods_and_the_ztunnel_of_its_dpu() -> None:
    fed = Fed(*NODES, namespace("shop"), pod("shop/a"), pod("shop/p", "plain", "10.0.2.1"), ZTUNNEL)
    fed.pair()
    told = fed.of("cpu-a")
    assert told.role == api.NodeProgram.CPU
    assert [str(ip_address(address)) for address in told.addresses] == ["192.0.2.1"]
    assert [(peer.node, str(ip_address(peer.addresses[0]))) for peer in told.peers] == [
        ("dpu-a", "192.0.2.2")
    ]
    assert [(str(ip_address(one.address)), one.length) for one in told.pod_cidrs] == [("10.0.0.0", 24)]
    assert (told.ztunnel.uid, told.ztunnel.node, told.ztunnel.ready) == ("u-zt", "dpu-a", True)
    assert fed.uids("cpu-a") == ["u-a"]


def test_a_dpu_node_is_told_the_pods_of_its_cpu_node_and_its_own() -> None:
    fed = Fed(*NODES, namespace("shop"), pod("shop/a"), pod("shop/d", "dpu-a", "10.0.1.1"), ZTUNNEL)
    fed.pair()
    told = fed.of("dpu-a")
    assert (told.role, [peer.node for peer in told.peers]) == (api.NodeProgram.DPU, ["cpu-a"])
    assert fed.uids("dpu-a") == ["u-a", "u-d"]
    assert told.ztunnel.uid == "u-zt"


def test_a_node_without_a_pair_is_told_its_own_of_both() -> None:
    own = pod("istio-system/z", "plain", "10.0.2.9", ", labels: {app: ztunnel}")
    fed = Fed(*NODES, namespace("shop"), pod("shop/p", "plain", "10.0.2.1"), own, ZTUNNEL)
    fed.pair()
    told = fed.of("plain")
    assert (told.role, list(told.peers), told.ztunnel.uid) == (api.NodeProgram.SINGLE, [], "u-z")
    assert fed.uids("plain") == ["u-p"]


def test_of_two_ztunnels_in_a_rolling_update_the_ready_one_counts() -> None:
    late = pod("istio-system/zz", "dpu-a", "10.0.1.8", ", labels: {app: ztunnel}").replace(
        "'True'", "'False'"
    )
    fed = Fed(*NODES, ZTUNNEL, late)
    assert fed.of("dpu-a").ztunnel.uid == "u-zt"
    put(fed.registry, late.replace("'False'", "'True'"))
    put(fed.registry, ZTUNNEL.replace("'True'", "'False'"))
    assert fed.of("dpu-a").ztunnel.uid == "u-zz"
    remove(fed.registry, Pod, "istio-system/zz")
    assert (fed.of("dpu-a").ztunnel.uid, fed.of("dpu-a").ztunnel.ready) == ("u-zt", False)
    remove(fed.registry, Pod, "istio-system/zt")
    assert not fed.of("dpu-a").HasField("ztunnel")


def test_a_pod_costs_the_programs_of_its_node_and_of_its_dpu_alone() -> None:
    fed = Fed(*NODES, namespace("shop"), pod("shop/a"), ZTUNNEL)
    fed.pair()
    before = runs(fed.registry.graph)["node programs"]
    put(fed.registry, pod("shop/b", ip="10.0.0.2"))
    assert runs(fed.registry.graph)["node programs"] - before == 2
    put(fed.registry, pod("shop/b", ip="10.0.0.2").replace("'True'", "'False'"))
    assert runs(fed.registry.graph)["node programs"] - before == 2


def test_a_range_that_is_none_is_a_problem_of_its_node() -> None:
    fed = Fed(node("cpu-a", "192.0.2.1", "10.0.0.300/24"))
    assert "podCIDR '10.0.0.300/24': expected a range" in str(list(fed.mesh.problems()))


def test_a_ztunnel_is_one_in_a_namespace_of_the_accounts_that_are_trusted() -> None:
    fed = Fed(node("cpu-a", "192.0.2.1"), ztunnel("theirs", "istio-dpu", "10.0.0.9"))
    assert not fed.of("cpu-a").HasField("ztunnel")
    fed = Fed(
        node("cpu-a", "192.0.2.1"),
        ztunnel("theirs", "istio-system", "10.0.0.8"),
        ztunnel("ours", "istio-dpu", "10.0.0.9"),
        datapath=DatapathSettings(ztunnel_namespaces=frozenset({"istio-dpu"})),
    )
    assert ip_address(fed.of("cpu-a").ztunnel.addresses[0]) == ip_address("10.0.0.9")


def ztunnel(name: str, namespace: str, ip: str) -> str:
    meta = f"name: {name}, namespace: {namespace}, uid: u-{name}, labels: {{app: ztunnel}}"
    return f"{{kind: Pod, metadata: {{{meta}}}, spec: {{nodeName: cpu-a}}, status: {{podIP: {ip}}}}}"
