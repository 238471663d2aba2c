"""A placement map file that is followed, and a way to await what becomes of an edit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from xds_server.exceptions import Problem
from xds_server.mesh.graph import new_registry
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.sources.placement.source import ClusterConfSource
from xds_server.sources.problems import Problems
from xds_server.store.collection import Change

START = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


class TellingProblems(Problems):
    """Counts and tells the reports."""

    def __init__(self, told: asyncio.Event) -> None:
        super().__init__()
        self.reports = 0
        self._told = told

    def replace(self, place: str, problems: Sequence[Problem]) -> list[Problem]:
        self.reports += 1
        self._told.set()
        return super().replace(place, problems)


class Followed:
    """A placement map file with its source, and a way to await what becomes of an edit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told = asyncio.Event()
        self.problems = TellingProblems(self.told)
        self.registry = new_registry()
        self.pairs = self.registry.of(Pair)
        self.singles = self.registry.of(Single)
        self.changes: list[set[str]] = []
        """Keys of the pairs that each transaction changed."""
        self.singles_then: list[set[str]] = []
        """Keys of all singles at the end of each."""
        self.registry.graph.listen(self.pairs, self._receive_changes)
        self.now = START
        self.source = ClusterConfSource(path, self.registry, self.problems, lambda: self.now, 0.01)

    def _receive_changes(self, changes: Mapping[str, Change[Pair]]) -> None:
        self.changes.append(set(changes))
        self.singles_then.append(set(self.singles))
        self.told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.told.clear()
                await self.told.wait()

    def dpu(self) -> str | None:
        """Return the DPU node of 10.0.0.1."""
        pair = self.pairs.get("10.0.0.1")
        return pair.dpu_node_ip if pair else None

    @property
    def failure(self) -> list[str]:
        assert self.source.state is not None
        return [str(problem) for problem in self.source.state.failure]


@asynccontextmanager
async def following(followed: Followed) -> AsyncIterator[None]:
    task = asyncio.create_task(followed.source.follow())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
