"""What the agent of a node is told beside its pods: options, devices and addresses, and its peer's state."""

from ipaddress import ip_address
from typing import Literal

import pytest

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import put, remove
from xds_server.mesh.programs import Programs
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import Lease, Node
from xds_server.objects.liveness import NodeDown
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api
from xds_server.settings import DatapathSettings, MeshSettings

SETTINGS = MeshSettings()
CPU, DPU = "192.0.2.1", "192.0.2.2"
LEASE = "{kind: Lease, metadata: {name: dpu-a, namespace: istio-system}}"


def node(name: str, ip: str, cidrs: str = "[]", uplink: str = "") -> str:
    annotations = f", annotations: {{offmesh.io/uplink: {uplink}}}" if uplink else ""
    address = f"addresses: [{{type: InternalIP, address: '{ip}'}}]"
    spec = f"spec: {{podCIDRs: {cidrs}}}"
    return f"{{kind: Node, metadata: {{name: {name}{annotations}}}, {spec}, status: {{{address}}}}}"


PAIR = (node("cpu-a", CPU, "[10.0.0.0/24]"), node("dpu-a", DPU, "[10.0.1.0/24]"))


class Agent:
    """Follows the program of a node, as the stream of its agent does."""

    def __init__(self, programs: Programs, name: str) -> None:
        self.told: list[api.NodeProgram] = []
        programs.follow(name, "", self._receive)

    @property
    def program(self) -> api.NodeProgram:
        return self.told[-1]

    @property
    def peer_holds(self) -> bool:
        (one,) = self.program.peers
        return one.holds

    def _receive(self, body: bytes | None) -> None:
        if body is not None:
            self.told.append(api.NodeProgram.FromString(body))


class Fed(MeshUnderTest):
    """A mesh that tells agents."""

    def __init__(self, *texts: str, datapath: DatapathSettings | None = None) -> None:
        super().__init__(settings=SETTINGS)
        self.programs = Programs(self.registry, self.mesh, SETTINGS, datapath or DatapathSettings())
        for text in texts:
            put(self.registry, text)

    def agent(self, name: str) -> Agent:
        return Agent(self.programs, name)

    def pair(self) -> None:
        with self.registry.graph.transaction():
            self.registry.of(Pair).set(CPU, Pair(CPU, DPU, "cpu-a", "dpu-a"))

    def set_down(self, name: str) -> None:
        with self.registry.graph.transaction():
            self.registry.of(NodeDown).set(name, NodeDown("LeaseExpired"))


@pytest.mark.parametrize("capture_dns", [False, True])
@pytest.mark.parametrize(
    ("tunnel_type", "expected"), [("geneve", api.Options.GENEVE), ("vxlan", api.Options.VXLAN)]
)
def test_all_nodes_are_told_the_same_options(
    tunnel_type: Literal["geneve", "vxlan"], expected: api.Options.TunnelType, capture_dns: bool
) -> None:
    settings = DatapathSettings(tunnel_type=tunnel_type, capture_dns=capture_dns)
    fed = Fed(*PAIR, node("plain", "192.0.2.3"), datapath=settings)
    fed.pair()
    for name in ("cpu-a", "dpu-a", "plain"):
        options = fed.agent(name).program.options
        assert (options.tunnel_type, options.capture_dns) == (expected, capture_dns)


@pytest.mark.parametrize(("uplink", "expected"), [("", ""), ("bond0.100", "bond0.100")])
def test_the_uplink_is_what_the_node_object_says(uplink: str, expected: str) -> None:
    fed = Fed(node("plain", CPU, "[10.0.0.0/24]", uplink))
    assert fed.agent("plain").program.uplink == expected


def test_an_uplink_that_changes_is_told() -> None:
    fed = Fed(node("plain", CPU, "[10.0.0.0/24]", "ens1"))
    agent = fed.agent("plain")
    put(fed.registry, node("plain", CPU, "[10.0.0.0/24]", "ens2"))
    assert [one.uplink for one in agent.told] == ["ens1", "ens2"]


@pytest.mark.parametrize(
    ("cidrs", "expected"),
    [
        ("[10.0.0.0/24]", "10.0.0.1"),
        ("[10.0.0.64/26]", "10.0.0.65"),
        ("['fd00::/64', 10.0.7.0/24]", "10.0.7.1"),
        ("['fd00::/64']", ""),
        ("[]", ""),
    ],
)
def test_the_pods_gateway_is_the_first_address_of_the_nodes_range(cidrs: str, expected: str) -> None:
    packed = Fed(node("plain", CPU, cidrs)).agent("plain").program.pod_gateway
    assert (str(ip_address(packed)) if packed else "") == expected


def test_a_peer_that_has_said_nothing_is_not_known_to_hold_its_part() -> None:
    fed = Fed(*PAIR)
    fed.pair()
    assert not fed.agent("cpu-a").peer_holds


def test_a_cpu_node_is_told_when_its_dpu_nodes_agent_says_it_holds_the_program() -> None:
    fed = Fed(*PAIR)
    fed.pair()
    agent = fed.agent("cpu-a")
    fed.programs.receive_held("dpu-a", "")
    assert [one.peers[0].holds for one in agent.told] == [False, True]
    fed.programs.receive_held("dpu-a", "")
    assert len(agent.told) == 2


def test_what_a_dpu_node_holds_for_others_is_nothing_to_a_cpu_node_that_is_new_to_it() -> None:
    fed = Fed(*PAIR)
    fed.programs.receive_held("dpu-a", "")
    fed.pair()
    agent = fed.agent("cpu-a")
    assert not agent.peer_holds
    fed.programs.receive_held("dpu-a", "")
    assert agent.peer_holds


@pytest.mark.parametrize("name", ["cpu-a", "nobody"])
def test_what_other_nodes_hold_says_nothing_of_the_peer(name: str) -> None:
    fed = Fed(*PAIR)
    fed.pair()
    fed.programs.receive_held(name, "")
    assert not fed.agent("cpu-a").peer_holds


def test_an_agent_that_speaks_to_another_replica_is_known_by_its_lease() -> None:
    fed = Fed(*PAIR)
    fed.pair()
    agent = fed.agent("cpu-a")
    put(fed.registry, LEASE)
    assert agent.peer_holds
    fed.set_down("cpu-a")
    assert not agent.peer_holds
    remove(fed.registry, Lease, "istio-system/dpu-a")
    assert not agent.peer_holds


def test_a_lease_that_is_renewed_costs_no_program() -> None:
    fed = Fed(*PAIR, LEASE)
    fed.pair()
    agent = fed.agent("cpu-a")
    renewed = LEASE.replace("}}", "}, spec: {renewTime: '2026-01-01T00:00:01.000000Z'}}")
    put(fed.registry, renewed)
    assert len(agent.told) == 1


def test_who_leaves_is_told_no_more() -> None:
    fed = Fed(*PAIR)
    told: list[bytes | None] = []
    leave = fed.programs.follow("cpu-a", "", told.append)
    leave()
    remove(fed.registry, Node, "cpu-a")
    assert len(told) == 1
