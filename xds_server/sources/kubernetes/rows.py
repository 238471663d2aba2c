"""The objects of one kind in the registry, and what is wrong with some of them."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from itertools import islice

from xds_server.exceptions import Problem
from xds_server.objects.kubernetes import KubernetesObject
from xds_server.sources.kubernetes.decode import Batch, Row
from xds_server.sources.problems import Problems
from xds_server.store.collection import Source
from xds_server.store.graph import Graph

_SLICE = 200

log = logging.getLogger(__name__)


class Rows:
    """
    Writes one kind. Of what it is told only differences become changes, in transactions that are
    short enough for others to be served between them.
    """

    def __init__(self, graph: Graph, source: Source[KubernetesObject], problems: Problems) -> None:
        self.source = source
        self.touched: set[str] | None = None
        """While not None: the keys that events have named."""
        self._graph = graph
        self._problems = problems

    async def receive_events(self, batch: Batch) -> None:
        """Take events of a watch."""
        if self.touched is not None:
            self.touched.update(row.key for row in batch.rows)
            self.touched.update(batch.problems)
        self._report(batch)
        await self._commit({row.key: row.item for row in batch.rows})

    async def replace(self, listed: dict[str, KubernetesObject], problems: dict[str, Problem]) -> None:
        """Make a whole list all there is; of an object that cannot be used, what is held stays."""
        for key in [key for key in self._problem_keys() if key not in problems]:
            self._settle(key)
        gone = [key for key in self.source if key not in listed and key not in problems]
        await self._commit({**dict.fromkeys(gone), **listed})
        self.source.synced = True

    async def add(self, batch: Batch) -> None:
        """Take a part of the very first list, while nothing is served yet."""
        self._report(batch)
        await self._commit({row.key: row.item for row in batch.rows})

    async def mend(self, missed: Mapping[str, KubernetesObject | None]) -> None:
        """Put right what events have not told."""
        await self._commit(missed)

    def same(self, row: Row) -> KubernetesObject | None:
        """Return the held object when it equals the one told of, so that only one of them is kept."""
        held = self.source.get(row.key)
        return held if held == row.item else row.item

    async def _commit(self, latest: Mapping[str, KubernetesObject | None]) -> None:
        source = self.source
        changed = (row for row in latest.items() if source.get(row[0]) != row[1])
        while part := list(islice(changed, _SLICE)):
            with self._graph.transaction():
                for key, item in part:
                    if item is None:
                        source.delete(key)
                    else:
                        source.set(key, item)
            if len(part) == _SLICE:
                await asyncio.sleep(0)

    def _report(self, batch: Batch) -> None:
        for key, problem in batch.problems.items():
            for fresh in self._problems.replace(self._place(key), [problem]):
                log.warning("%s", fresh)
        if self._problems.by_place:
            for row in batch.rows:
                self._settle(row.key)

    def _settle(self, key: str) -> None:
        self._problems.replace(self._place(key), ())

    def _place(self, key: str) -> str:
        return f"{self.source.name} {key}"

    def _problem_keys(self) -> Iterator[str]:
        prefix = f"{self.source.name} "
        for place in list(self._problems.by_place):
            if place.startswith(prefix):
                yield place.removeprefix(prefix)
