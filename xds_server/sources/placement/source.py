"""
The placement map file, read at start and followed from then on.

The map in force is always one that the file once stated in full: a file that is missing, cannot be
read or says something wrong is reported, and changes nothing.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from xds_server.exceptions import LocalError, Problem
from xds_server.objects.cluster_conf import Pair, PlacementMap, Single
from xds_server.sources.placement.parse import PlacementError, parse_placement_map
from xds_server.sources.problems import Problems
from xds_server.sources.watch.files import FileWatch
from xds_server.store.collection import Source, V
from xds_server.store.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    Where the map in force comes from, and how reloading it goes.

    ``digest`` is the SHA-256 of the file that stated it. ``failure`` is what is wrong with the file
    as it is now; ``failed_reloads`` counts the failures that differed from the one before.
    """

    path: Path
    loaded_at: datetime
    digest: str
    reloads: int = 0
    failed_reloads: int = 0
    failure: tuple[Problem, ...] = ()


class UnreadableError(PlacementError):
    """The file is there and cannot be read."""


def read_map_file(path: Path) -> bytes:
    """
    Read the file of a placement map.

    Raises:
        PlacementError: it is missing.
        UnreadableError: it cannot be read.

    """
    expected = "a file with pairs: or singles:"
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PlacementError([Problem(str(path), "placement map", "missing", expected)]) from None
    except OSError as error:
        why = f"unreadable ({error.strerror})"
        raise UnreadableError([Problem(str(path), "placement map", why, expected)]) from None


def utc_now() -> datetime:
    return datetime.now(UTC)


class ClusterConfSource:
    """Keeps the pairs and singles of a registry equal to what a file states."""

    def __init__(
        self,
        path: Path,
        registry: Registry,
        problems: Problems,
        now: Callable[[], datetime] = utc_now,
        retry_seconds: float = 1.0,
    ) -> None:
        self.state: Loaded | None = None
        """None until a first map is in force."""
        self._path = path
        self._registry = registry
        self._problems = problems
        self._now = now
        self._retry_seconds = retry_seconds
        self._watch: FileWatch | None = None

    async def load(self) -> None:
        """
        Read the map for the first time and put it in force.

        Raises:
            PlacementError: the file is missing, cannot be read, or is wrong.

        """
        # Under watch before it is read: follow() is told of what is written from here on.
        self._watch = FileWatch([self._path])
        try:
            text = await asyncio.to_thread(read_map_file, self._path)
            changed = await self._use(text)
        except PlacementError:
            self.close()
            raise
        self.state = Loaded(self._path, self._now(), _digest(text))
        log.info("placement map %s loaded: %d rows", self._path, changed)

    async def follow(self) -> None:
        """
        Keep the collections equal to the file, for ever.

        Raises:
            LocalError: no map is loaded yet.

        """
        if self._watch is None or self.state is None:
            raise LocalError("a placement map is loaded before it is followed")
        try:
            async with aclosing(self._watch.changes()) as changes:
                async for _ in changes:
                    failure = await self._reload(self.state)
                    while isinstance(failure, UnreadableError):
                        # Nobody tells of a permission that was granted.
                        await asyncio.sleep(self._retry_seconds)
                        failure = await self._reload(self.state)
        finally:
            self.close()

    def close(self) -> None:
        """Stop watching; the map in force stays."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def _reload(self, held: Loaded) -> PlacementError | None:
        """Put in force what the file says now; return why that could not be done."""
        try:
            text = await asyncio.to_thread(read_map_file, self._path)
            digest = _digest(text)
            if digest == held.digest:
                self._settle(held)
                return None
            changed = await self._use(text)
        except PlacementError as error:
            self._fail(held, error)
            return error
        self._problems.replace(str(self._path), ())
        self.state = replace(held, loaded_at=self._now(), digest=digest, reloads=held.reloads + 1, failure=())
        log.info("placement map %s reloaded: %d rows changed", self._path, changed)
        return None

    def _settle(self, held: Loaded) -> None:
        """The file says again what is in force."""
        if held.failure:
            self._problems.replace(str(self._path), ())
            self.state = replace(held, failure=())
            log.info("placement map %s says again what is in force", self._path)

    def _fail(self, held: Loaded, error: PlacementError) -> None:
        self._problems.replace(str(self._path), error.problems)
        if error.problems == held.failure:
            return
        self.state = replace(held, failed_reloads=held.failed_reloads + 1, failure=error.problems)
        why = "; ".join(map(str, error.problems))
        log.error("placement map %s not reloaded, that of %s stays: %s", self._path, held.loaded_at, why)

    async def _use(self, text: bytes) -> int:
        placement = await asyncio.to_thread(parse_placement_map, text, str(self._path))
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
