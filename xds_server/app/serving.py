"""``offmesh serve`` from its first moment: the probes, what the mesh is called, then the server itself."""

import asyncio
import signal
from collections.abc import Callable, Mapping

from xds_server.app.mesh_names import with_mesh_names
from xds_server.app.server import Progress, Server
from xds_server.debug.health import HealthServer
from xds_server.debug.readiness import Readiness
from xds_server.settings import ServeSettings


async def serve(
    settings: ServeSettings, progress: Progress, announce: Callable[[Mapping[str, str]], None]
) -> None:
    """
    Serve until SIGTERM or SIGINT; ``announce`` is called with the bound addresses once ready.

    Raises:
        InputError: an address cannot be bound, or an input that nothing can be served without be used.

    """
    readiness, bound = Readiness(), dict[str, str]()
    health = HealthServer(readiness)
    _end_on_signals()
    try:
        if settings.health_address:
            bound["health"] = await health.start(settings.health_address)
        named = await with_mesh_names(settings, readiness)
        await Server(named, readiness, bound).run(progress, announce)
    finally:
        await health.stop()


def _end_on_signals() -> None:
    """End at the first signal, until there is a server to drain: process 1 of a pod has no default."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
