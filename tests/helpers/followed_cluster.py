"""A registry that follows a real API server, and questions about it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.helpers.api_server import ApiServer
from xds_server.cluster.connection import ApiConnection
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.settings import MeshSettings
from xds_server.sources.kubernetes.kinds import WatchedKind, mesh_kinds
from xds_server.sources.kubernetes.reading import Reading, ReadTiming
from xds_server.sources.kubernetes.reflector import Reflector, ReflectorTiming
from xds_server.sources.kubernetes.rows import Rows
from xds_server.sources.problems import Problems
from xds_server.store.registry import Registry

# Quick, so that a test need not wait for what takes its time in a cluster.
READ = ReadTiming(watch_seconds=3.0, silence_seconds=4.0, page_size=3)
REFLECT = ReflectorTiming(check_seconds=3600.0, absent_seconds=0.2, doubted_seconds=0.1)


class FollowedCluster:
    """Some kinds, followed by reflectors into a registry with a mesh on it."""

    def __init__(self, connection: ApiConnection, kinds: tuple[WatchedKind, ...]) -> None:
        self.registry: Registry = new_registry()
        self.mesh = Mesh(self.registry, MeshSettings())
        self.problems = Problems()
        self.reflectors = [
            Reflector(
                kind,
                Reading(connection, kind, READ, lambda: 0.5),
                Rows(self.registry.graph, self.registry.of(kind.type), self.problems),
                lambda: 0.5,
                REFLECT,
            )
            for kind in kinds
        ]

    def one(self, kind: str) -> Reflector:
        return next(one for one in self.reflectors if one.kind.name == kind)

    def keys(self, kind: str, prefix: str = "") -> set[str]:
        return {key for key in self.one(kind).rows.source if key.startswith(prefix)}

    async def run(self) -> None:
        for reflector in self.reflectors:
            await reflector.load()
        async with asyncio.TaskGroup() as tasks:
            for reflector in self.reflectors:
                tasks.create_task(reflector.follow())


@asynccontextmanager
async def following_cluster(
    server: ApiServer, folder: Path, url: str = "", kinds: tuple[WatchedKind, ...] = ()
) -> AsyncIterator[FollowedCluster]:
    """Follow ``server`` as its admin, by another ``url`` if one is given."""
    path = server.kubeconfig(folder / "kubeconfig-of-the-follower", server=url)
    connection = ApiConnection(str(path), timeout_seconds=5.0)
    followed = FollowedCluster(connection, kinds or mesh_kinds())
    running = asyncio.create_task(followed.run())
    try:
        yield followed
    finally:
        running.cancel()
        await asyncio.wait([running])
        await connection.close()
        if not running.cancelled() and running.exception() is not None:
            raise running.exception() or AssertionError


async def until(is_so: Callable[[], object], seconds: float = 30.0) -> None:
    """Return when it is so; a test that waits in vain fails."""
    async with asyncio.timeout(seconds):
        while not is_so():
            await asyncio.sleep(0.02)
