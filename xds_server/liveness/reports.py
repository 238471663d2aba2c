"""
What the leader says of pairs: the condition ``OffMeshPairReady`` on their CPU nodes, and Events.

Rules
1. The Nodes are the memory of all leaders: what they say is known by the watch, and what is not right
   is written. A pair that is not judged has no condition.
2. There is an Event where the condition comes to say another status than before, or says for the first
   time that a pair is down. Of several about one node that could not be written only the last will be,
   and none if this replica ends before.
3. One node that cannot be written does not keep the others from it. Where the API server is away or
   has too much to do, all wait. Whoever else keeps writing there is not raced.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from xds_server.cluster.backoff import Backoff
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.outage import Outage
from xds_server.cluster.request import ApiError, refusal
from xds_server.exceptions import ClusterError
from xds_server.leadership.pending import Pending, Repairs
from xds_server.liveness.conditions import (
    PAIR_READY,
    Told,
    condition_patch,
    event_of,
    found_on,
    removal_patch,
    status_of,
    told_of,
)
from xds_server.liveness.events import EventWriter
from xds_server.liveness.watch import Liveness
from xds_server.objects.kubernetes import Node
from xds_server.store.collection import Change

_OF_ALL = (401, 403, 408, 429)
"""Refusals that are not about one node."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReportTiming:
    """All times in seconds."""

    pause_seconds: float = 0.02
    """After each write."""
    race_seconds: float = 1.0
    """Until a node is looked at again that somebody else was writing."""
    longest_seconds: float = 60.0
    """Between tries for one node."""


def _now() -> datetime:
    return datetime.now(UTC)


class PairReports:
    """A duty; what it knows beside the Nodes ends with its term."""

    def __init__(
        self,
        connection: ApiConnection,
        liveness: Liveness,
        timing: ReportTiming | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._connection = connection
        self._liveness = liveness
        self._timing = timing or ReportTiming()
        self._now = now
        self._nodes = liveness.registry.of(Node)
        self._outage = Outage(log, f"writing condition {PAIR_READY}")
        self._events = EventWriter(connection)
        self._wake = asyncio.Event()
        self._begin()
        liveness.listen(self._look_at)
        liveness.registry.graph.listen(self._nodes, self._receive_nodes)

    def _begin(self) -> None:
        self._pending = Pending()
        self._repairs = Repairs()
        self._retries: dict[str, Backoff] = {}
        self._told: dict[str, Told | None] = {}
        """By node, what was written there last, or found."""
        self._doubted: set[str] = set()
        """Nodes that have come to say something else since."""

    async def run(self) -> None:
        """Keep the conditions equal to the verdicts, for ever. What fails is told and tried again."""
        self._begin()
        saying = {name for name, node in self._nodes.items() if status_of(node, PAIR_READY) is not None}
        self._look_at(saying | self._liveness.judged.keys())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._events.run())
            tasks.create_task(self._write_for_ever())

    async def _write_for_ever(self) -> None:
        clock, backoff = asyncio.get_running_loop().time, Backoff(random.random)
        while True:
            self._wake.clear()
            name = self._pending.take(clock())
            if name is None:
                await self._sleep_until(self._pending.next_at)
                continue
            try:
                written = await self._write(name, clock())
            except ClusterError as error:
                self._outage.begin(str(error))
                self._look_at((name,))
                await asyncio.sleep(backoff.after(error))
            else:
                if written:
                    self._outage.end()
                    backoff.reset()
                    await asyncio.sleep(self._timing.pause_seconds)

    async def _write(self, name: str, now: float) -> bool:
        """
        Make a node say what is so; return whether that took a call.

        Raises:
            ClusterError: none can be written now.

        """
        node = self._nodes.get(name)
        if node is None:
            self._forget(name)
            return False
        told, wanted = self._told.setdefault(name, found_on(node)), self._wanted(name)
        if told == wanted and name not in self._doubted:
            return False
        if wanted is None:
            request = removal_patch(name)
        else:
            is_transition = (
                status_of(node, PAIR_READY) is None or told is None or told.status != wanted.status
            )
            request = condition_patch(name, wanted, self._now(), is_transition=is_transition)
        code, content = await self._connection.call(request)
        if 200 <= code < 300:
            self._receive_success(node, wanted, now)
        elif code == 404:
            self._forget(name)
        elif code == 409:
            self._pending.hold(name, now + self._timing.race_seconds)
        elif code in _OF_ALL or not 400 <= code < 500:
            raise refusal(request, code, content)
        else:
            self._receive_refusal(name, refusal(request, code, content), now)
        return True

    def _wanted(self, name: str) -> Told | None:
        verdict = self._liveness.judged.get(name)
        if verdict is None:
            return None
        lease = self._liveness.verdicts.leases.get(verdict.dpu_node)
        return told_of(verdict, lease.seconds) if lease else None

    def _receive_success(self, node: Node, wanted: Told | None, now: float) -> None:
        name = node.name
        told, self._told[name] = self._told.get(name), wanted
        self._doubted.discard(name)
        self._retries.pop(name, None)
        if wanted is not None and wanted.status != (told.status if told else "True"):
            self._events.post(name, event_of(node, wanted, self._now()))
        pause = self._repairs.receive(name, str(wanted), now)
        if pause:
            self._pending.hold(name, now + pause)
        if pause == 1.0:
            where = f"condition {PAIR_READY} of node {name}"
            log.warning("%s: somebody else keeps changing it: expected one control plane to write it", where)

    def _receive_refusal(self, name: str, error: ApiError, now: float) -> None:
        if name not in self._retries:
            log.warning("condition %s of node %s is not written: %s", PAIR_READY, name, error)
        retry = self._retries.setdefault(name, Backoff(random.random, 1.0, self._timing.longest_seconds))
        self._pending.hold(name, now + retry.after(error))

    def _forget(self, name: str) -> None:
        for known in (self._told, self._retries):
            known.pop(name, None)
        self._doubted.discard(name)
        self._repairs.discard(name)

    def _receive_nodes(self, changes: Mapping[str, Change[Node]]) -> None:
        for name, (old, new) in changes.items():
            status = status_of(new, PAIR_READY)
            if old is not None and new is not None and status == status_of(old, PAIR_READY):
                continue
            told = self._told.get(name)
            if status != (told.status if told else None):
                self._doubted.add(name)
            self._look_at((name,))

    def _look_at(self, names: Iterable[str]) -> None:
        self._pending.add(names)
        self._wake.set()

    async def _sleep_until(self, moment: float | None) -> None:
        try:
            async with asyncio.timeout_at(moment):
                await self._wake.wait()
        except TimeoutError:
            return
