"""
Tells that somebody else may have changed the kernel: by its news, and by glances at what it has none of.

Of news only so much is made: where a node changes all the time, and nothing of it is ours, the pauses grow.
"""

import asyncio
import logging
from collections.abc import Callable

from xds_server.agent.glance import glance
from xds_server.agent.kernel_keeper import KernelKeeper
from xds_server.datapath.kernel import within
from xds_server.datapath.monitor import Monitor, monitored
from xds_server.datapath.program import Program
from xds_server.exceptions import KernelError

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.2
_RETRY_SECONDS = 5.0


class Watch:
    """``wake`` is called with what may have changed."""

    def __init__(
        self, keeper: KernelKeeper, prefix: str, seconds: float, wake: Callable[[str], None]
    ) -> None:
        self._keeper = keeper
        self._prefix = prefix
        self._seconds = seconds
        self._wake = wake
        self._monitor: Monitor | None = None
        self._held: Program | None = None
        self._digest = b""
        self._unseen = ""
        """Why the last glance saw nothing."""
        self._pause = _FIRST_PAUSE
        self._is_glancing = asyncio.Lock()

    async def run(self) -> None:
        """Watch until cancelled; what cannot be watched is tried again."""
        while True:
            try:
                kernel = await self._keeper.detect()
                async with monitored(kernel, self._prefix) as self._monitor:
                    # Of what changed up to now nobody has told.
                    self._wake("everything")
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(self._follow(self._monitor))
                        tasks.create_task(self._glance_now_and_then())
            except KernelError as error:
                log.warning("the kernel is not watched: %s; tried again in %.0f s", error, _RETRY_SECONDS)
            await asyncio.sleep(_RETRY_SECONDS)

    def forget(self) -> None:
        """Take what changed up to now for known."""
        if self._monitor is not None:
            self._monitor.forget()

    async def hold(self, held: Program, *, was_drift: bool) -> None:
        """Learn what is held from now on."""
        self._pause = _FIRST_PAUSE if was_drift else min(self._pause * 2, _LONGEST_PAUSE)
        async with self._is_glancing:
            self._held, self._digest = held, await self._glance(held)

    async def _follow(self, monitor: Monitor) -> None:
        while True:
            kinds = await monitor.changed()
            self._wake(" and ".join(sorted(kinds)))
            await asyncio.sleep(self._pause)

    async def _glance_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            async with self._is_glancing:
                seen = await self._glance(self._held) if self._held else self._digest
                # Told once: what cannot be mended is tried again at its own pace.
                differs, self._digest = seen != self._digest, seen
            if differs:
                self._wake("a set, a sysctl or a table")

    async def _glance(self, held: Program) -> bytes:
        try:
            seen = await within(self._keeper.kernel, lambda place: glance(place, held, self._prefix))
        except KernelError as error:
            if str(error) != self._unseen:
                log.warning("sets, sysctls and tables are not looked at: %s", error)
            self._unseen = str(error)
            return b""
        self._unseen = ""
        return seen
