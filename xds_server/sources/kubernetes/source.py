"""All kinds of a mesh, of one cluster or two: loaded together, then followed."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from xds_server.cluster.connection import ApiConnection
from xds_server.sources.kubernetes.kinds import WatchedKind
from xds_server.sources.kubernetes.reading import Reading, ReadTiming
from xds_server.sources.kubernetes.reflector import Reflector, ReflectorTiming
from xds_server.sources.kubernetes.rows import Rows
from xds_server.sources.problems import Problems
from xds_server.store.registry import Registry

Progress = Callable[[int, int], None]


class Watched(NamedTuple):
    """A kind, and the cluster it is read from."""

    connection: ApiConnection
    kind: WatchedKind


class KubernetesSource:
    """Fills the sources of a registry: ``load`` once, then ``follow`` for ever."""

    def __init__(
        self,
        watched: Iterable[Watched],
        registry: Registry,
        problems: Problems,
        check_seconds: float = 600.0,
    ) -> None:
        timing = ReflectorTiming(check_seconds=check_seconds)
        self.reflectors = tuple(
            Reflector(
                kind,
                Reading(connection, kind, ReadTiming(), random.random),
                Rows(registry.graph, registry.of(kind.type), problems),
                random.random,
                timing,
            )
            for connection, kind in watched
        )
        self.files: dict[str, int] = {}
        self.ignored: Counter[str] = Counter()
        for before, after in zip(self.reflectors, self.reflectors[1:], strict=False):
            after.turn = before.loaded

    @property
    def missing(self) -> str:
        """What is not loaded yet, and why; empty when all is."""
        waiting = [one for one in self.reflectors if not one.loaded.is_set()]
        reasons = dict.fromkeys(one.contact.failure for one in waiting if one.contact.failure)
        names = ", ".join(one.kind.name for one in waiting)
        return f"{names} not loaded" + "".join(f"; {reason}" for reason in reasons) if waiting else ""

    async def load(self, progress: Progress) -> None:
        """Return when every kind is in whole; ``progress`` is told the number of objects, once."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self.reflectors:
                tasks.create_task(reflector.load())
        total = sum(len(reflector.rows.source) for reflector in self.reflectors)
        progress(total, total)

    async def follow(self) -> None:
        """Keep every kind current, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self.reflectors:
                tasks.create_task(reflector.follow())
