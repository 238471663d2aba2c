"""The placement map in a ConfigMap, read from the API server and watched."""

import asyncio
import random

from xds_server.cluster.connection import ApiConnection
from xds_server.exceptions import Problem
from xds_server.objects.kubernetes import ConfigMap, KubernetesObject
from xds_server.sources.kubernetes.kinds import one_config_map
from xds_server.sources.kubernetes.reading import Reading, ReadTiming
from xds_server.sources.kubernetes.reflector import Reflector
from xds_server.sources.kubernetes.rows import Rows
from xds_server.sources.placement.findings import PlacementError
from xds_server.sources.placement.in_force import Loaded, MapInForce
from xds_server.sources.problems import Problems
from xds_server.store.collection import Source
from xds_server.store.registry import Registry

KEYS = ("cluster-conf.yaml", "offmesh-conf")
"""Under which the map is looked for, when the ConfigMap has more than one key."""


class ConfigMapSource:
    """Keeps the pairs and singles of a registry equal to what a ConfigMap states."""

    def __init__(
        self, connection: ApiConnection, place: tuple[str, str], registry: Registry, problems: Problems
    ) -> None:
        namespace, name = place
        self._key = f"{namespace}/{name}"
        self._map = MapInForce(f"ConfigMap {self._key}", registry, problems)
        self._problem = ""
        source: Source[KubernetesObject] = Source(registry.graph, "ConfigMap")
        self._source = source
        kind = one_config_map(namespace, name)
        self.reflector = Reflector(
            kind,
            Reading(connection, kind, ReadTiming(), random.random),
            Rows(registry.graph, source, problems),
            random.random,
        )
        self._changed = asyncio.Event()
        registry.graph.listen(source, lambda _changes: self._changed.set())

    @property
    def state(self) -> Loaded | None:
        """None until a first map is in force."""
        return self._map.state

    @property
    def missing(self) -> str:
        """Why no map is in force yet."""
        if self.state is not None:
            return ""
        return self.reflector.contact.failure or self._problem or f"{self._map.where} is not loaded"

    async def load(self) -> None:
        """Return when a first map is in force; until then, what is wrong is told and waited for."""
        await self.reflector.load()
        if not await self._use():
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self.reflector.follow())
                while not await self._use():
                    await self._wait()
                following.cancel()

    async def follow(self) -> None:
        """Keep the collections equal to the ConfigMap, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.reflector.follow())
            while True:
                await self._wait()
                await self._use()

    async def _wait(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _use(self) -> bool:
        """Put in force what the ConfigMap says now; return whether there is a map in force."""
        try:
            await self._map.reload(self._text())
        except PlacementError as error:
            self._problem = str(error)
            self._map.fail(error)
        return self.state is not None

    def _text(self) -> bytes:
        held = self._source.get(self._key)
        if not isinstance(held, ConfigMap):
            expected = "a ConfigMap with the placement map"
            raise PlacementError([Problem(self._map.where, "the ConfigMap", "missing", expected)])
        data = held.data or {}
        keys = list(data) if len(data) == 1 else [key for key in KEYS if key in data]
        if not keys:
            found = ", ".join(sorted(data)) or "empty"
            raise PlacementError([Problem(self._map.where, "data", found, f"the key {KEYS[0]}")])
        return data[keys[0]].encode()
