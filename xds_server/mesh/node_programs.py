"""
What the agent of each node makes the node's datapath from: one resource a node, and one with all ranges.

A CPU node is told the ztunnel of its DPU node and its own meshed pods; a DPU node its own ztunnel and
the meshed pods of its CPU nodes and of itself; any other node its own of both. Where DPU nodes are in a
second cluster, a node's name counts only within its own.
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import NamedTuple

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.address import parse_ip
from xds_server.mesh.identities import is_finished, uid_of
from xds_server.mesh.meshed_pods import MeshedPod, MeshedPods, pod_addresses
from xds_server.mesh.placement import Placement
from xds_server.mesh.workloads import is_ready
from xds_server.objects.kubernetes import Lease, Node, Pod
from xds_server.objects.liveness import NodeDown, ProgramHeld
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api
from xds_server.settings import DatapathSettings
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

_ZTUNNEL = "ztunnel"
_IPV4_BYTES = 4


class NodeRange(msgspec.Struct, frozen=True, gc=False):
    """A node as its neighbours need it, so that a heartbeat of it changes nothing."""

    name: str
    addresses: tuple[bytes, ...]
    pod_cidrs: tuple[tuple[bytes, int], ...]
    uplink: str = ""


class ZtunnelPod(msgspec.Struct, frozen=True, gc=False):
    """A ztunnel that runs, or is about to."""

    uid: str
    node: str
    addresses: tuple[bytes, ...]
    ready: bool


class ClusterNodes:
    """Nodes of one cluster and the ztunnels on them."""

    def __init__(
        self,
        graph: Graph,
        name: str,
        nodes: Collection[Node],
        pods: Collection[Pod],
        settings: DatapathSettings,
    ) -> None:
        self._settings = settings
        self.ranges: Collection[NodeRange] = Mapped(graph, f"{name} ranges", nodes, _range)
        ztunnels: Collection[ZtunnelPod] = Mapped(graph, f"{name} ztunnels", pods, self._ztunnel)
        self.ztunnels_by_node = Index(ztunnels, "node", _node_of)

    def _ztunnel(self, _fetch: Fetch, _key: str, pod: Pod) -> ZtunnelPod | None:
        is_one = pod.namespace in self._settings.ztunnel_namespaces and pod.labels.get("app") == _ZTUNNEL
        if not is_one or is_finished(pod) or not pod.spec.node_name:
            return None
        addresses = pod_addresses(pod)
        if not addresses:
            return None
        return ZtunnelPod(uid_of(pod), pod.spec.node_name, addresses, is_ready(pod))


class Around(NamedTuple):
    """What programs are derived with, beside nodes."""

    placement: Placement
    meshed: MeshedPods
    settings: DatapathSettings
    held: Collection[ProgramHeld]
    leases: Collection[Lease]
    nodes_down: Collection[NodeDown]


class NodePrograms:
    """The resources of one cluster's nodes; ``dpus`` are the nodes that DPU nodes are among."""

    def __init__(self, graph: Graph, around: Around, own: ClusterNodes, dpus: ClusterNodes) -> None:
        self._placement = around.placement
        self._meshed = around.meshed
        self._options = _options(around.settings)
        self._held = around.held
        self._nodes_down = around.nodes_down
        # A Lease is renewed all the time, and that there is one hardly ever changes.
        leases: Collection[str] = Mapped(graph, "agents", around.leases, _name)
        self._leases_by_name = Index(leases, "name", _itself)
        self._own = own
        self._dpus = dpus
        self._one_cluster = own is dpus
        self.programs: Collection[bytes] = Mapped(graph, "node programs", own.ranges, self._program)
        self.dpu_programs: Collection[bytes] = (
            self.programs if self._one_cluster else Mapped(graph, "DPU node programs", dpus.ranges, self._dpu)
        )

    def _program(self, fetch: Fetch, _key: str, node: NodeRange) -> bytes:
        placed = fetch.group(self._placement.placed_by_cpu, node.name)
        if placed and placed[0].dpu_node:
            return self._cpu_node(fetch, node, placed[0].dpu_node)
        if self._one_cluster and fetch.group(self._placement.placed_by_dpu, node.name):
            return self._dpu(fetch, node.name, node)
        message = self._begun(node, api.NodeProgram.SINGLE)
        self._fill(fetch, message, (node.name,), (node.name, self._own))
        return message.SerializeToString(deterministic=True)

    def _cpu_node(self, fetch: Fetch, node: NodeRange, dpu_node: str) -> bytes:
        message = self._begun(node, api.NodeProgram.CPU)
        peer = _peer(fetch, self._dpus, dpu_node)
        peer.holds = self._is_held(fetch, node.name, dpu_node)
        message.peers.append(peer)
        self._fill(fetch, message, (node.name,), (dpu_node, self._dpus))
        return message.SerializeToString(deterministic=True)

    def _dpu(self, fetch: Fetch, _key: str, node: NodeRange) -> bytes:
        placed = fetch.group(self._placement.placed_by_dpu, node.name)
        cpu_nodes = [pair.cpu_node for pair in placed if pair.cpu_node]
        message = self._begun(node, api.NodeProgram.DPU)
        message.peers.extend(_peer(fetch, self._own, name) for name in cpu_nodes)
        carried = (*cpu_nodes, *((node.name,) if self._one_cluster else ()))
        self._fill(fetch, message, carried, (node.name, self._dpus))
        return message.SerializeToString(deterministic=True)

    def _is_held(self, fetch: Fetch, cpu_node: str, dpu_node: str) -> bool:
        """By what its agent said here or, as it may have said so elsewhere, by the Lease it renews."""
        held = fetch.one(self._held, dpu_node)
        if held is not None:
            return cpu_node in held.cpu_nodes
        return bool(fetch.group(self._leases_by_name, dpu_node)) and not fetch.one(self._nodes_down, cpu_node)

    def _begun(self, node: NodeRange, role: api.NodeProgram.Role) -> api.NodeProgram:
        return api.NodeProgram(
            node=node.name,
            role=role,
            addresses=node.addresses,
            pod_cidrs=as_cidrs(node.pod_cidrs),
            options=self._options,
            uplink=node.uplink,
            pod_gateway=_gateway(node.pod_cidrs),
        )

    def _fill(
        self,
        fetch: Fetch,
        message: api.NodeProgram,
        carried: Iterable[str],
        ztunnel_on: tuple[str, ClusterNodes],
    ) -> None:
        name, where = ztunnel_on
        ztunnel = _active(fetch.group(where.ztunnels_by_node, name))
        if ztunnel is not None:
            message.ztunnel.CopyFrom(
                api.Ztunnel(
                    uid=ztunnel.uid, node=ztunnel.node, addresses=ztunnel.addresses, ready=ztunnel.ready
                )
            )
        pods = [pod for name in carried for pod in fetch.group(self._meshed.by_node, name)]
        message.pods.extend(map(_pod, sorted(pods, key=lambda pod: pod.uid)))


def _options(settings: DatapathSettings) -> api.Options:
    tunnel_type = api.Options.VXLAN if settings.tunnel_type == "vxlan" else api.Options.GENEVE
    return api.Options(tunnel_type=tunnel_type, capture_dns=settings.capture_dns)


def _active(ztunnels: list[ZtunnelPod]) -> ZtunnelPod | None:
    """Return the one that carries traffic: in a rolling update there are two, and one that is ready wins."""
    return max(ztunnels, key=lambda one: (one.ready, one.uid), default=None)


def _gateway(ranges: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the first address of a node's range of IPv4: plugins give it to the node."""
    own = (address for address, _ in ranges if len(address) == _IPV4_BYTES)
    first = next(own, None)
    return (int.from_bytes(first) + 1).to_bytes(_IPV4_BYTES) if first else b""


def _peer(fetch: Fetch, where: ClusterNodes, name: str) -> api.Peer:
    node = fetch.one(where.ranges, name)
    return api.Peer(node=name, addresses=node.addresses if node else ())


def _pod(pod: MeshedPod) -> api.MeshedPod:
    return api.MeshedPod(uid=pod.uid, node=pod.node, addresses=pod.addresses)


def as_cidrs(ranges: Iterable[tuple[bytes, int]]) -> Iterator[api.Cidr]:
    """Return ranges as the messages have them."""
    return (api.Cidr(address=address, length=length) for address, length in ranges)


def _range(_fetch: Fetch, _key: str, node: Node) -> NodeRange:
    stated = node.spec.pod_cidrs or ((node.spec.pod_cidr,) if node.spec.pod_cidr else ())
    addresses = tuple(parse_ip(text, "InternalIP").packed for text in node.internal_ips)
    return NodeRange(
        node.name, addresses, tuple(_cidr(text) for text in stated), node.annotations.uplink or ""
    )


def _cidr(text: str) -> tuple[bytes, int]:
    try:
        network = ip_network(text)
    except ValueError:
        raise InputError(f"podCIDR {text!r}: expected a range like 10.244.0.0/24") from None
    return network.network_address.packed, network.prefixlen


def _name(_fetch: Fetch, _key: str, lease: Lease) -> str:
    return lease.name


def _itself(name: str) -> tuple[str, ...]:
    return (name,)


def _node_of(pod: ZtunnelPod) -> tuple[str, ...]:
    return (pod.node,)
