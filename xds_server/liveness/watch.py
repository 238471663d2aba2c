"""
The pairs of a mesh, watched: when to judge, and what follows in the registry.

Every replica watches and judges for itself.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from itertools import islice

from xds_server.cluster.outage import Outage
from xds_server.exceptions import ClusterError
from xds_server.liveness.leases import Look
from xds_server.liveness.observation import Observation
from xds_server.liveness.verdicts import PairVerdict, Verdicts
from xds_server.mesh.placement import Placement
from xds_server.objects.liveness import NodeDown
from xds_server.store.registry import Registry

_SLICE = 10
"""Nodes in one transaction: the pods of each are derived anew in it."""
_LOOK_SECONDS = 3.0
"""For one look. Nothing else is judged meanwhile."""

log = logging.getLogger(__name__)


class Liveness:
    """Judges the pairs of a registry and writes its ``NodeDown`` rows."""

    def __init__(
        self,
        registry: Registry,
        placement: Placement,
        clock: Callable[[], float],
        look: Look | None = None,
        verdicts: Verdicts | None = None,
    ) -> None:
        """
        Begin to listen; ``clock`` is that of the event loop.

        Without a ``look`` there is no way to tell a silent agent from an API server that is away.
        """
        self.registry = registry
        self.verdicts = verdicts or Verdicts(two_clusters=placement.two_clusters)
        self.transitions: Counter[str] = Counter()
        """How often a pair came to be ``down`` or ``up``."""
        self.clock = clock
        self._look = look
        self._looked_at = float("-inf")
        self._outage = Outage(log, "looking at the Leases of agents")
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[Collection[str]], None]] = []
        self._rows = registry.of(NodeDown)
        self._observation = Observation(registry, placement, self.verdicts, clock, self._wake.set)

    def listen(self, listener: Callable[[Collection[str]], None]) -> None:
        """Call ``listener`` with the CPU nodes of which something else is said than before."""
        self._listeners.append(listener)

    @property
    def judged(self) -> Mapping[str, PairVerdict]:
        """What is said of each judged pair, by CPU node."""
        return self.verdicts.judged

    def settle(self) -> None:
        """Judge what is known by now, in one transaction: for before anything is served."""
        changed = self._changes(self._judge())
        with self.registry.graph.transaction():
            for node, row in changed:
                self._put(node, row)
        self._rows.synced = True

    async def run(self) -> None:
        """Judge whenever something is observed or a time has come, for ever."""
        while True:
            self._wake.clear()
            await self._look_if_due()
            await self._write(self._judge())
            await self._sleep_until(self._next_at)

    async def _look_if_due(self) -> None:
        """Ask what the watch may not have told, before a Lease expires."""
        due_at = self.verdicts.look_at(self._looked_at)
        if self._look is None or due_at is None or self.clock() < due_at:
            return
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                leases = await self._look.leases()
        except (ClusterError, TimeoutError) as error:
            self._outage.begin(str(error) or f"no answer within {_LOOK_SECONDS:g} s")
            self.verdicts.observe_outage(self.clock())
        else:
            self._outage.end()
            self._observation.receive_seen(leases)
        self._looked_at = self.clock()

    def _judge(self) -> Mapping[str, NodeDown]:
        before = self.verdicts.judged
        rows = self.verdicts.advance(self.clock())
        after = self.verdicts.judged
        changed = sorted(cpu for cpu in before.keys() | after.keys() if before.get(cpu) != after.get(cpu))
        for cpu in changed:
            self._tell(cpu, before.get(cpu), after.get(cpu))
        if changed:
            for listener in self._listeners:
                listener(changed)
        return rows

    def _tell(self, cpu: str, before: PairVerdict | None, after: PairVerdict | None) -> None:
        was_down, is_down = before is not None and before.down, after is not None and after.down
        if was_down == is_down:
            return
        self.transitions["down" if is_down else "up"] += 1
        if after is None:
            log.info("the pair of CPU node %s is no longer judged, so it counts as up", cpu)
        elif is_down:
            reasons = ", ".join(after.reasons)
            log.warning("the pair of CPU node %s and DPU node %s is down: %s", cpu, after.dpu_node, reasons)
        else:
            log.info("the pair of CPU node %s and DPU node %s is up again", cpu, after.dpu_node)

    async def _write(self, rows: Mapping[str, NodeDown]) -> None:
        changed = iter(self._changes(rows))
        while part := list(islice(changed, _SLICE)):
            with self.registry.graph.transaction():
                for node, row in part:
                    self._put(node, row)
            await asyncio.sleep(0)

    def _changes(self, rows: Mapping[str, NodeDown]) -> list[tuple[str, NodeDown | None]]:
        held = self._rows.rows
        return [
            (node, rows.get(node)) for node in held.keys() | rows.keys() if held.get(node) != rows.get(node)
        ]

    def _put(self, node: str, row: NodeDown | None) -> None:
        if row is None:
            self._rows.delete(node)
        else:
            self._rows.set(node, row)

    @property
    def _next_at(self) -> float | None:
        look_at = self.verdicts.look_at(self._looked_at) if self._look else None
        moments = (self.verdicts.next_at, look_at)
        return min((moment for moment in moments if moment is not None), default=None)

    async def _sleep_until(self, moment: float | None) -> None:
        """Sleep until a moment of the event loop's clock, or until there is something to judge."""
        try:
            async with asyncio.timeout_at(moment):
                await self._wake.wait()
        except TimeoutError:
            return
