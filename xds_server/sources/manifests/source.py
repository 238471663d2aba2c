"""Kubernetes objects from manifest files, watched: the registry's sources are kept equal to them."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import aclosing
from pathlib import Path

from xds_server.exceptions import LocalError
from xds_server.objects.kinds import KINDS
from xds_server.sources.manifests.decode import ObjectId
from xds_server.sources.manifests.holdings import Holdings, Timing
from xds_server.sources.manifests.reading import read
from xds_server.sources.problems import Problems
from xds_server.sources.watch.files import FileWatch
from xds_server.store.registry import Registry

Progress = Callable[[int, int], None]

_SLICE = 500
_SUFFIXES = frozenset({".yaml", ".yml", ".json"})

log = logging.getLogger(__name__)


def is_manifest(name: str) -> bool:
    """Tell by its name whether a file in a folder is taken for a manifest."""
    return Path(name).suffix.lower() in _SUFFIXES


class ManifestSource:
    """Fills the sources of the Kubernetes kinds: ``load`` once, then ``follow`` for ever."""

    def __init__(
        self, paths: Iterable[Path], registry: Registry, problems: Problems, timing: Timing | None = None
    ) -> None:
        self._paths = tuple(paths)
        self._registry = registry
        self._problems = problems
        self._timing = timing or Timing()
        self._holdings = Holdings({str(path) for path in self._paths}, self._timing)
        self._watch: FileWatch | None = None
        self._due: dict[Path, float] = {}
        """Files to be read, and from when on (the loop's clock)."""
        self._woken = asyncio.Event()

    @property
    def missing(self) -> str:
        """What is not loaded yet."""
        return (
            ""
            if all(self._registry.of(kind).synced for kind in KINDS.values())
            else "the manifests are not loaded"
        )

    @property
    def files(self) -> dict[str, int]:
        """Number of objects that each file holds."""
        return {file: len(self._holdings.definitions.held(file)) for file in sorted(self._holdings.states)}

    @property
    def ignored(self) -> Counter[str]:
        """Number of objects of each kind that is not in use, by ``apiVersion/kind``."""
        total: Counter[str] = Counter()
        for state in self._holdings.states.values():
            total.update(state.ignored)
        return total

    async def load(self, progress: Progress) -> None:
        """
        Read all files and commit what they define, in slices, kinds in the order of ``KINDS``.

        ``progress`` is called with the objects committed and their total, the last time with both equal.
        """
        self._watch = FileWatch(self._paths, is_manifest, self._timing.scan_seconds)
        await self._read(sorted(self._watch.files.union(self._paths)))
        order = {kind: place for place, kind in enumerate(KINDS.values())}
        known = sorted(self._holdings.definitions, key=lambda known: order[known[0]])
        for start in range(0, len(known), _SLICE):
            self._commit(known[start : start + _SLICE])
            progress(min(start + _SLICE, len(known)), len(known))
            await asyncio.sleep(0)
        if not known:
            progress(0, 0)
        for file in self._holdings.states:
            self._report(file)
        for kind in KINDS.values():
            self._registry.of(kind).synced = True

    async def follow(self) -> None:
        """
        Keep the sources equal to the files, for ever.

        Raises:
            LocalError: nothing was loaded yet.

        """
        if self._watch is None:
            raise LocalError("manifests are followed before they were loaded")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(self._watch))
                while True:
                    await self._refresh(await self._next_due())
        finally:
            self.close()

    def close(self) -> None:
        """Stop watching; what was loaded stays. ``follow`` does so when it ends."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def _listen(self, watch: FileWatch) -> None:
        async with aclosing(watch.changes()) as batches:
            async for batch in batches:
                now = asyncio.get_running_loop().time()
                self._due.update(dict.fromkeys(batch, now))
                self._woken.set()

    async def _next_due(self) -> list[Path]:
        """Wait until files are due to be read, and return them."""
        clock = asyncio.get_running_loop().time
        while not (due := [path for path, at in self._due.items() if at <= clock()]):
            self._woken.clear()
            try:
                async with asyncio.timeout_at(min(self._due.values(), default=None)):
                    await self._woken.wait()
            except TimeoutError:
                continue
        for path in due:
            del self._due[path]
        return sorted(due)

    async def _refresh(self, paths: Collection[Path]) -> None:
        touched = await self._read(paths)
        self._commit(touched)
        definitions = self._holdings.definitions
        for file in {
            *map(str, paths),
            *(file for known in touched for file in definitions.claimed_by(known)),
        }:
            self._report(file)

    async def _read(self, paths: Collection[Path]) -> set[ObjectId]:
        """Read files; return the objects whose definition in force may differ."""
        touched: set[ObjectId] = set()
        for path in paths:
            file = str(path)
            reading = await read(path, self._holdings.mark(file))
            verdict = self._holdings.receive(file, reading, asyncio.get_running_loop().time())
            touched.update(verdict.touched)
            if verdict.again_at is not None:
                self._due.setdefault(path, verdict.again_at)
            await asyncio.sleep(0)
        return touched

    def _commit(self, touched: Iterable[ObjectId]) -> None:
        """Bring the sources to what is in force, in one transaction of nothing but differences."""
        changes = []
        for kind, key in touched:
            source, item = self._registry.of(kind), self._holdings.definitions.in_force((kind, key))
            if source.get(key) != item:
                changes.append((source, key, item))
        if not changes:
            return
        with self._registry.graph.transaction():
            for source, key, item in changes:
                if item is None:
                    source.delete(key)
                else:
                    source.set(key, item)

    def _report(self, file: str) -> None:
        for problem in self._problems.replace(file, self._holdings.problems(file)):
            log.warning("%s", problem)
