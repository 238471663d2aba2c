"""What the nodes of the lab shall hold, and the inputs of each node's program that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.helpers.lab.topology import TOPOLOGY, UPLINK, Node, Pod, Topology
from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Role, WithoutZtunnel, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program, TunnelType
from xds_server.datapath.programs import PROGRAMS
from xds_server.datapath.programs.combine import combine

NAMES = Names(tunnel_type=TunnelType.VXLAN)
"""The kernel of the lab need not have the other type; marks behave alike in both."""

EDITIONS: Mapping[str, Mapping[Role, str]] = {
    "corrected": {Role.CPU: "cpu_node", Role.DPU: "dpu_node", Role.SINGLE: "ambient_node"},
    "original": {
        Role.CPU: "cpu_node_original",
        Role.DPU: "dpu_node_original",
        Role.SINGLE: "ambient_node_original",
    },
    "tunnelled": {
        Role.CPU: "cpu_node_tunnelled",
        Role.DPU: "dpu_node_tunnelled",
        Role.SINGLE: "ambient_node_original",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    topology: Topology = TOPOLOGY
    edition: str = "corrected"
    meshed: frozenset[str] = field(
        default_factory=lambda: frozenset(pod.name for pod in TOPOLOGY.pods if pod.meshed)
    )
    """Names of pods."""
    ztunnels: frozenset[str] = frozenset({"zt1", "zt2", "zt3"})
    """Those that run."""
    when_ztunnel_is_gone: WithoutZtunnel = WithoutZtunnel.PLAIN
    capture_dns: bool = False
    pod_routes: bool = False
    """Whether routes to other nodes' pods are programmed too; else the lab is wired with them."""

    def program(self, node: Node) -> Program:
        inputs = self.inputs(node)
        program = PROGRAMS[EDITIONS[self.edition][node.role]](inputs, NAMES)
        return combine(program, PROGRAMS["pod_routes"](inputs, NAMES)) if self.pod_routes else program

    def ztunnel_program(self, ztunnel: Pod) -> Program:
        return PROGRAMS["ztunnel_netns"](self.inputs(self.topology.node(ztunnel.node)), NAMES)

    def inputs(self, node: Node) -> NodeInputs:
        peer = self.topology.node(node.peer) if node.peer else None
        pods = self.topology.pods_of(node.name)
        carried = self.topology.pods_of(node.peer) if node.role is Role.DPU else ()
        return NodeInputs(
            role=node.role,
            address=node.address,
            peer=peer.address if peer else None,
            uplink=UPLINK,
            pod_cidr=node.pods,
            host_ip=node.gateway,
            ztunnel=self._ztunnel(node),
            when_ztunnel_is_gone=self.when_ztunnel_is_gone,
            pods=(*self._meshed(pods, here=True), *self._meshed(carried, here=False)),
            devices=tuple(pod.device for pod in pods if pod.name not in self.meshed),
            ranges=tuple(self._range(each) for each in self.topology.nodes),
            capture_dns=self.capture_dns,
        )

    def _ztunnel(self, node: Node) -> Ztunnel | None:
        if node.ztunnel not in self.ztunnels:
            return None
        pod = self.topology.pod(node.ztunnel)
        return Ztunnel(address=pod.address, device=pod.device if pod.node == node.name else "")

    def _meshed(self, pods: tuple[Pod, ...], *, here: bool) -> tuple[MeshedPod, ...]:
        return tuple(
            MeshedPod(address=pod.address, uid=f"uid-of-{pod.name}", device=pod.device if here else "")
            for pod in pods
            if pod.name in self.meshed
        )

    def _range(self, node: Node) -> PodRange:
        dpu = self.topology.node(node.peer).address if node.role is Role.CPU else None
        return PodRange(cidr=node.pods, node=node.address, dpu=dpu)
