"""
The resources of agents, made from the moment the first agent asks: many meshes have none.

An agent is told of one node only; the ranges of all nodes are one resource for all.
"""

from collections.abc import Callable, Mapping

from xds_server.mesh.graph import Mesh
from xds_server.mesh.meshed_pods import MeshedPods
from xds_server.mesh.node_programs import Around, ClusterNodes, NodePrograms, NodeRange, as_cidrs
from xds_server.objects.kubernetes import DpuNode, Lease, Namespace, Node
from xds_server.objects.liveness import NodeDown, ProgramHeld
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api
from xds_server.settings import DatapathSettings, MeshSettings
from xds_server.store.collection import Change, Collection
from xds_server.store.registry import Registry

RANGES = "ranges"
"""The name of the resource that all agents share."""

Put = Callable[[bytes | None], None]
"""Takes a resource's body; None when there is none."""


class Programs:
    """Followed by node and cluster; ``put`` is called at once and after every change."""

    def __init__(
        self, registry: Registry, mesh: Mesh, settings: MeshSettings, datapath: DatapathSettings
    ) -> None:
        self._registry = registry
        self._mesh = mesh
        self._settings = settings
        self._datapath = datapath
        self._held = registry.of(ProgramHeld)
        self._held.synced = True
        self._made: NodePrograms | None = None
        self._ranges: list[Collection[NodeRange]] = []
        self._followers: dict[tuple[str, str], list[Put]] = {}
        self._range_followers: list[Put] = []

    def follow(self, node: str, cluster: str, put: Put) -> Callable[[], None]:
        """Follow the program of a node of the first cluster, or of that of DPU nodes; return how to leave."""
        made = self._programs()
        rows = made.dpu_programs.rows if cluster else made.programs.rows
        followers = self._followers.setdefault((cluster, node), [])
        followers.append(put)
        put(rows.get(node))
        return lambda: followers.remove(put)

    def receive_held(self, node: str, cluster: str) -> None:
        """Learn that a node's agent has said it holds the present program of that node."""
        made = self._programs()
        body = (made.dpu_programs if cluster else made.programs).rows.get(node)
        program = api.NodeProgram.FromString(body or b"")
        held = ProgramHeld(frozenset(peer.node for peer in program.peers))
        if program.role == api.NodeProgram.DPU and self._held.get(node) != held:
            with self._registry.graph.transaction():
                self._held.set(node, held)

    def follow_ranges(self, put: Put) -> Callable[[], None]:
        """Follow whose pods are where; return how to leave."""
        self._programs()
        self._range_followers.append(put)
        put(self._ranges_now())
        return lambda: self._range_followers.remove(put)

    def _programs(self) -> NodePrograms:
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> NodePrograms:
        registry, mesh, settings = self._registry, self._mesh, self._settings
        graph, placement = registry.graph, mesh.placement
        meshed = MeshedPods(graph, mesh.pods, registry.of(Namespace), settings)
        own = ClusterNodes(graph, "node", registry.of(Node), mesh.pods, self._datapath)
        dpus = own
        if mesh.two_clusters:
            dpus = ClusterNodes(graph, "DPU node", registry.of(DpuNode), mesh.dpu_pods, self._datapath)
        around = Around(
            placement,
            meshed,
            self._datapath,
            self._held,
            registry.of(Lease),
            registry.of(NodeDown),
        )
        made = NodePrograms(graph, around, own, dpus)
        self._ranges = [own.ranges] if dpus is own else [own.ranges, dpus.ranges]
        with graph.transaction():
            pass  # brings what was made just now up to date
        graph.listen(made.programs, lambda changes: self._tell("", changes))
        if dpus is not own:
            graph.listen(made.dpu_programs, lambda changes: self._tell("dpu", changes))
        for ranges in self._ranges:
            graph.listen(ranges, lambda _changes: self._tell_ranges())
        graph.listen(placement.placed, lambda _changes: self._tell_ranges())
        return made

    def _tell(self, cluster: str, changes: Mapping[str, Change[bytes]]) -> None:
        for node, (_, new) in changes.items():
            for put in self._followers.get((cluster, node), ()):
                put(new)

    def _tell_ranges(self) -> None:
        if self._range_followers:
            body = self._ranges_now()
            for put in self._range_followers:
                put(body)

    def _ranges_now(self) -> bytes:
        nodes = {name: row for ranges in self._ranges for name, row in ranges.items()}
        message = api.PodRanges(ranges=(self._range(nodes[name], nodes) for name in sorted(nodes)))
        return message.SerializeToString(deterministic=True)

    def _range(self, node: NodeRange, nodes: Mapping[str, NodeRange]) -> api.PodRange:
        dpu = nodes.get(self._mesh.identities.dpu_node_of(node.name))
        return api.PodRange(
            node=node.name,
            pod_cidrs=as_cidrs(node.pod_cidrs),
            addresses=node.addresses,
            dpu_addresses=dpu.addresses if dpu else (),
        )
