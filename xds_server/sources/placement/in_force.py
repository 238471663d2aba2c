"""The placement map in force: always one that its source once stated in full."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from xds_server.exceptions import Problem
from xds_server.objects.cluster_conf import Pair, PlacementMap, Single
from xds_server.sources.placement.findings import PlacementError
from xds_server.sources.placement.parse import parse_placement_map
from xds_server.sources.problems import Problems
from xds_server.store.collection import Source, V
from xds_server.store.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    Where the map in force comes from, and how reloading it goes.

    ``digest`` is the SHA-256 of the text that stated it. ``failure`` is what is wrong with the text
    as it is now; ``failed_reloads`` counts the failures that differed from the one before.
    """

    path: str
    loaded_at: datetime
    digest: str
    reloads: int = 0
    failed_reloads: int = 0
    failure: tuple[Problem, ...] = ()


def utc_now() -> datetime:
    return datetime.now(UTC)


class MapInForce:
    """
    Keeps the pairs and singles of a registry equal to what a text states.

    A text that is missing, cannot be read or says something wrong is reported, and changes nothing.
    """

    def __init__(
        self, where: str, registry: Registry, problems: Problems, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.where = where
        self.state: Loaded | None = None
        """None until a first map is in force."""
        self._registry = registry
        self._problems = problems
        self._now = now

    async def load(self, text: bytes) -> None:
        """
        Put the first map in force.

        Raises:
            PlacementError: it is wrong.

        """
        changed = await self._use(text)
        self._problems.replace(self.where, ())
        self.state = Loaded(self.where, self._now(), _digest(text))
        log.info("placement map %s loaded: %d rows", self.where, changed)

    async def reload(self, text: bytes) -> None:
        """Put in force what the text says now; one that cannot be used is reported."""
        held = self.state
        if held is None:
            await self.load(text)
            return
        digest = _digest(text)
        if digest == held.digest:
            self._settle(held)
            return
        try:
            changed = await self._use(text)
        except PlacementError as error:
            self.fail(error)
            return
        self._problems.replace(self.where, ())
        self.state = replace(held, loaded_at=self._now(), digest=digest, reloads=held.reloads + 1, failure=())
        log.info("placement map %s reloaded: %d rows changed", self.where, changed)

    def fail(self, error: PlacementError) -> None:
        """Report why there is no new map; the one in force stays."""
        held = self.state
        for problem in self._problems.replace(self.where, error.problems) if held is None else ():
            log.error("placement map not loaded: %s", problem)
        if held is None:
            return
        self._problems.replace(self.where, error.problems)
        if error.problems == held.failure:
            return
        self.state = replace(held, failed_reloads=held.failed_reloads + 1, failure=error.problems)
        why = "; ".join(map(str, error.problems))
        log.error("placement map %s not reloaded, that of %s stays: %s", self.where, held.loaded_at, why)

    def _settle(self, held: Loaded) -> None:
        """The text says again what is in force."""
        if held.failure:
            self._problems.replace(self.where, ())
            self.state = replace(held, failure=())
            log.info("placement map %s says again what is in force", self.where)

    async def _use(self, text: bytes) -> int:
        placement = await asyncio.to_thread(parse_placement_map, text, self.where)
        return put_in_force(placement, self._registry)


def put_in_force(placement: PlacementMap, registry: Registry) -> int:
    """Make the pairs and singles of a registry those of a map; return how many rows that changed."""
    pairs, singles = registry.of(Pair), registry.of(Single)
    with registry.graph.transaction():
        changed = _replace_rows(pairs, {pair.cpu_node_ip: pair for pair in placement.pairs})
        changed += _replace_rows(singles, {single.node_ip: single for single in placement.singles})
        pairs.synced = singles.synced = True
    return changed


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _replace_rows(source: Source[V], rows: Mapping[str, V]) -> int:
    """Make ``rows`` all that ``source`` holds, touching only what differs."""
    gone = [key for key in source if key not in rows]
    changed = [key for key, row in rows.items() if source.get(key) != row]
    for key in gone:
        source.delete(key)
    for key in changed:
        source.set(key, rows[key])
    return len(gone) + len(changed)
