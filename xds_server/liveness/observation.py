"""What the registry holds of pairs, nodes and Leases, as the verdicts take it."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from xds_server.liveness.conditions import PAIR_READY, is_ready, status_of
from xds_server.liveness.leases import node_of, seconds_of
from xds_server.liveness.verdicts import Verdicts
from xds_server.mesh.placement import PlacedPair, Placement
from xds_server.objects.kubernetes import DpuNode, Lease, Node
from xds_server.store.collection import Change, Collection, Index
from xds_server.store.graph import Listener
from xds_server.store.registry import Registry

V = TypeVar("V")


class Observation:
    """
    Listens to a registry from now on; what is there already is taken at once.

    It only takes note, and wakes who judges: a listener runs at the end of a transaction, and rows
    are written in others.
    """

    def __init__(
        self,
        registry: Registry,
        placement: Placement,
        verdicts: Verdicts,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._registry = registry
        self._placement = placement
        self._verdicts = verdicts
        self._clock = clock
        self._wake = wake
        self._leases = Index(registry.of(Lease), "agent's node", node_of)
        self._follow(placement.placed, self._receive_pairs)
        self._follow(registry.of(Node), self._receive_nodes)
        if placement.two_clusters:
            self._follow(registry.of(DpuNode), self._receive_dpu_nodes)
        self._follow(registry.of(Lease), self._receive_leases)

    def receive_seen(self, leases: Iterable[Lease]) -> None:
        """Take Leases that were read past the watch; which of them there are, the watch decides."""
        for lease in leases:
            if lease.name in self._verdicts.leases:
                self._receive_lease(lease)

    def _follow(self, collection: Collection[V], listener: Listener[V]) -> None:
        listener({key: Change(None, row) for key, row in collection.items()})
        self._registry.graph.listen(collection, listener)

    def _receive_pairs(self, changes: Mapping[str, Change[PlacedPair]]) -> None:
        cpu_nodes = {pair.cpu_node for change in changes.values() for pair in change if pair is not None}
        for cpu_node in cpu_nodes - {""}:
            in_force = self._placement.placed_by_cpu.rows(cpu_node)
            self._verdicts.observe_pair(cpu_node, in_force[0].dpu_node if in_force else "")
        self._wake()

    def _receive_nodes(self, changes: Mapping[str, Change[Node]]) -> None:
        for name, (old, new) in changes.items():
            if is_ready(old) != is_ready(new):
                self._verdicts.observe_cpu_node(name, ready=is_ready(new))
                if not self._placement.two_clusters:
                    self._verdicts.observe_dpu_node(name, ready=is_ready(new))
                self._wake()

    def _receive_dpu_nodes(self, changes: Mapping[str, Change[DpuNode]]) -> None:
        for name, (old, new) in changes.items():
            if is_ready(old) != is_ready(new):
                self._verdicts.observe_dpu_node(name, ready=is_ready(new))
                self._wake()

    def _receive_leases(self, changes: Mapping[str, Change[Lease]]) -> None:
        for node in {lease.name for change in changes.values() for lease in change if lease is not None}:
            in_force = self._leases.rows(node)
            if in_force:
                self._receive_lease(in_force[0])
            else:
                self._verdicts.observe_no_lease(node)
                self._wake()

    def _receive_lease(self, lease: Lease) -> None:
        expired = lease.name not in self._verdicts.leases and self._was_down(lease.name)
        renewal, seconds = lease.spec.renew_time or "", seconds_of(lease)
        if self._verdicts.observe_lease(lease.name, renewal, seconds, self._clock(), expired=expired):
            self._wake()

    def _was_down(self, dpu_node: str) -> bool:
        """
        Tell whether the Nodes still say that all pairs of a DPU node are down.

        Since when a Lease has not been renewed, a replica that starts cannot know; the others could.
        """
        nodes = self._registry.of(Node).rows
        pairs = self._placement.placed_by_dpu.rows(dpu_node)
        told = {status_of(nodes.get(pair.cpu_node), PAIR_READY) for pair in pairs} - {None}
        return told == {"False"}
