"""
Placement: which node's ztunnel serves a workload. The one place that knows what a DPU is.

The placement map names nodes by address and, optionally, by name; a missing name is the name of
the Node whose InternalIP is that address. The serving node of a pod on a CPU node is the paired
DPU node; of any other pod its own node.

DPU nodes may be in a second cluster, their Node objects too. Then a name alone does not tell a
node: both clusters may use it.
"""

from collections.abc import Iterable

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.address import ip_text, parse_ip
from xds_server.mesh.localities import node_locality
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.kubernetes import Node
from xds_server.store.collection import Collection, Index, Source
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

NODE_TYPE_LABEL = "offMeshNodeType"
DPU_CLUSTER = "dpu"
"""The second cluster, where the DPU nodes are in one; the first, or only one, goes by the empty text."""


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
    zone: str = ""
    """``region/zone``; empty where it has no labels of either."""


class Placement:
    """The collections of placement, and the question they answer."""

    def __init__(
        self,
        graph: Graph,
        pairs: Source[Pair],
        singles: Source[Single],
        nodes: Source[Node],
        dpu_nodes: Source[Node] | None = None,
    ) -> None:
        """Resolve names among ``nodes``; of DPU nodes among ``dpu_nodes`` where a second cluster has them."""
        self.two_clusters = dpu_nodes is not None
        self.pairs = pairs
        self.singles = singles
        self.nodes = Mapped(graph, "node identities", nodes, _identity)
        self.nodes_by_ip = Index(self.nodes, "InternalIP", _internal_ips)
        self.dpu_nodes, self.dpu_nodes_by_ip = self.nodes, self.nodes_by_ip
        if dpu_nodes is not None:
            self.dpu_nodes = Mapped(graph, "DPU node identities", dpu_nodes, _identity)
            self.dpu_nodes_by_ip = Index(self.dpu_nodes, "InternalIP", _internal_ips)
        self.placed: Collection[PlacedPair] = Mapped(graph, "placed pairs", pairs, self._place)
        self.placed_by_cpu = Index(self.placed, "CPU node", _cpu_node)
        self.placed_by_dpu = Index(self.placed, "DPU node", _dpu_node)

    def _place(self, fetch: Fetch, _key: str, pair: Pair) -> PlacedPair:
        return PlacedPair(
            cpu_node_ip=pair.cpu_node_ip,
            cpu_node=pair.cpu_node_name or _name_at(fetch, self.nodes_by_ip, pair.cpu_node_ip),
            dpu_node_ip=pair.dpu_node_ip,
            dpu_node=pair.dpu_node_name or _name_at(fetch, self.dpu_nodes_by_ip, pair.dpu_node_ip),
        )

    def serving_node(self, fetch: Fetch, node: str) -> str:
        """Return the node whose ztunnel serves pods of ``node``."""
        if not node:
            return ""
        placed = fetch.group(self.placed_by_cpu, node)
        return placed[0].dpu_node or node if placed else node


def name_in(cluster: str, name: str) -> str:
    """Return a name as people are told it: what is in the first cluster needs no word of that."""
    return f"{name} (DPU cluster)" if cluster == DPU_CLUSTER else name


def _name_at(fetch: Fetch, by_ip: Index[NodeIdentity], ip: str) -> str:
    nodes = fetch.group(by_ip, ip)
    return nodes[0].name if nodes else ""


def _identity(fetch: Fetch, key: str, node: Node) -> NodeIdentity:
    locality = node_locality(fetch, key, node)
    return NodeIdentity(
        name=node.name,
        internal_ips=tuple(_canonical(node.internal_ips)),
        node_type=node.labels.get(NODE_TYPE_LABEL, ""),
        zone="/".join(filter(None, (locality.region, locality.zone))) if locality else "",
    )


def _internal_ips(node: NodeIdentity) -> tuple[str, ...]:
    return node.internal_ips


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
