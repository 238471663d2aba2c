"""
Takes a sick server out, so that its clients go to another.

Two illnesses (field facts, U35): the event loop is late by seconds, again and again, so nothing goes
out in time; or one kind of object is no longer heard of although the API server talks of others, so
what goes out is old. When all kinds are silent it is the API server that is away: then what is held
is the best there is, and it is served.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from xds_server.debug.loop_lag import measure_lag
from xds_server.debug.readiness import Readiness
from xds_server.sources.kubernetes.reflector import Reflector

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """All in seconds."""

    late: float = 2.0
    sick_after: float = 10.0
    """For how long the loop must be late, with pauses of at most half of that."""
    well_after: float = 10.0
    silent: float = 150.0
    """Three watches of a kind may go wrong."""
    heard: float = 75.0
    """Another kind was heard of within this: the API server is there."""
    look: float = 5.0


class LoopHealth:
    """Whether the event loop is sick, from how late it runs what is due."""

    def __init__(self, limits: Limits) -> None:
        self.sick = False
        self._limits = limits
        self._began_at = 0.0
        self._late_at = float("-inf")

    def observe(self, late: float, now: float) -> None:
        """Take one measure, made ``now``: something was run ``late`` seconds after it was due."""
        limits = self._limits
        if late > limits.late:
            if now - late - self._late_at > limits.sick_after / 2:
                self._began_at = now - late
            self._late_at = now
            self.sick = self.sick or now - self._began_at >= limits.sick_after
        elif self.sick and now - self._late_at >= limits.well_after:
            self.sick = False


def stalled(reflectors: Iterable[Reflector], limits: Limits, now: float) -> list[str]:
    """Return the kinds that are not heard of while others are."""
    followed = [one for one in reflectors if one.loaded.is_set() and one.contact.installed]
    if not any(now - one.contact.heard_at <= limits.heard for one in followed):
        return []
    return [one.kind.name for one in followed if now - one.contact.heard_at > limits.silent]


class Watchdog:
    """Looks for ever; ``leave`` takes the server out, ``come_back`` makes it available again."""

    def __init__(
        self,
        readiness: Readiness,
        reflectors: Iterable[Reflector],
        leave: Callable[[], Awaitable[None]],
        come_back: Callable[[], Awaitable[None]],
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._readiness = readiness
        self._reflectors = tuple(reflectors)
        self._leave = leave
        self._come_back = come_back
        self._loop_health = LoopHealth(self._limits)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()

        def observe(late: float) -> None:
            self._loop_health.observe(late, loop.time())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(measure_lag(observe, loop.time, asyncio.sleep))
            tasks.create_task(self._judge_loop())
            while self._reflectors:
                await asyncio.sleep(self._limits.look)
                self._judge_watches(loop.time())

    async def _judge_loop(self) -> None:
        out = False
        while True:
            await asyncio.sleep(self._limits.look / 5)
            if self._loop_health.sick and not out:
                out = True
                why = f"the event loop is late by more than {self._limits.late:g} s"
                log.error("%s: this server is taken out", why)
                self._readiness.need("loop", why)
                await self._leave()
            elif out and not self._loop_health.sick:
                out = False
                log.info("the event loop is in time again")
                self._readiness.have("loop")
                await self._come_back()

    def _judge_watches(self, now: float) -> None:
        silent = stalled(self._reflectors, self._limits, now)
        if silent:
            failures = {one.kind.name: one.contact.failure for one in self._reflectors}
            why = f"{', '.join(silent)} not heard of for {self._limits.silent:g} s while other kinds are"
            reasons = [failures[name] for name in silent if failures[name]]
            self._readiness.need("watches", "; ".join([why, *reasons]))
        else:
            self._readiness.have("watches")
