"""
Placement: which node's ztunnel serves a workload. The one place that knows what a DPU is.

The placement map names nodes by address and, optionally, by name; a missing name is the name of
the Node whose InternalIP is that address. The serving node of a pod on a CPU node is the paired
DPU node; of any other pod its own node.
"""

from collections.abc import Iterable

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.address import ip_text, parse_ip
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.kubernetes import Node
from xds_server.store.collection import Collection, Index, Source
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

NODE_TYPE_LABEL = "offMeshNodeType"


class PlacedPair(msgspec.Struct, frozen=True, gc=False):
    """A pair with its names resolved; an empty name is one that neither map nor Nodes tell."""

    cpu_node_ip: str
    cpu_node: str
    dpu_node_ip: str
    dpu_node: str


class NodeIdentity(msgspec.Struct, frozen=True, gc=False):
    """What placement needs of a Node, so that a heartbeat of it changes nothing."""

    name: str
    internal_ips: tuple[str, ...]
    node_type: str


class Placement:
    """The collections of placement, and the question they answer."""

    def __init__(
        self, graph: Graph, pairs: Source[Pair], singles: Source[Single], nodes: Source[Node]
    ) -> None:
        self.pairs = pairs
        self.singles = singles
        self.nodes = Mapped(graph, "node identities", nodes, _identity)
        self.nodes_by_ip = Index(self.nodes, "InternalIP", lambda node: node.internal_ips)
        self.placed: Collection[PlacedPair] = Mapped(graph, "placed pairs", pairs, self._place)
        self.placed_by_cpu = Index(self.placed, "CPU node", _cpu_node)
        self.placed_by_dpu = Index(self.placed, "DPU node", _dpu_node)

    def _place(self, fetch: Fetch, _key: str, pair: Pair) -> PlacedPair:
        return PlacedPair(
            cpu_node_ip=pair.cpu_node_ip,
            cpu_node=pair.cpu_node_name or self._name_of(fetch, pair.cpu_node_ip),
            dpu_node_ip=pair.dpu_node_ip,
            dpu_node=pair.dpu_node_name or self._name_of(fetch, pair.dpu_node_ip),
        )

    def _name_of(self, fetch: Fetch, ip: str) -> str:
        nodes = fetch.group(self.nodes_by_ip, ip)
        return nodes[0].name if nodes else ""

    def serving_node(self, fetch: Fetch, node: str) -> str:
        """Return the node whose ztunnel serves pods of ``node``."""
        if not node:
            return ""
        placed = fetch.group(self.placed_by_cpu, node)
        return placed[0].dpu_node or node if placed else node


def _identity(_fetch: Fetch, _key: str, node: Node) -> NodeIdentity:
    return NodeIdentity(node.name, tuple(_canonical(node.internal_ips)), node.labels.get(NODE_TYPE_LABEL, ""))


def _canonical(ips: Iterable[str]) -> Iterable[str]:
    """Canonical texts; one that is no address matches no pair, which the report then shows."""
    for ip in ips:
        try:
            yield ip_text(parse_ip(ip, "InternalIP"))
        except InputError:
            yield ip


def _cpu_node(pair: PlacedPair) -> tuple[str, ...]:
    return (pair.cpu_node,) if pair.cpu_node else ()


def _dpu_node(pair: PlacedPair) -> tuple[str, ...]:
    return (pair.dpu_node,) if pair.dpu_node else ()
