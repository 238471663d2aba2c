"""What a leader does, kept going as long as it leads."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from xds_server.exceptions import ClusterError
from xds_server.leadership.duties import perform


class Scripted:
    """A duty whose runs do one thing after the other; after the last it runs for ever."""

    def __init__(self, *runs: Callable[[], Awaitable[None]]) -> None:
        self._runs = iter(runs)
        self.settled = asyncio.Event()
        self.cancelled = False

    async def run(self) -> None:
        step = next(self._runs, None)
        if step is not None:
            await step()
            return
        self.settled.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def step() -> None:
        raise error

    return step


async def ending() -> None:
    """End, which no duty should."""


async def settle(duty: Scripted) -> None:
    """Perform a duty until it runs for ever, and then no longer."""
    task = asyncio.create_task(perform(duty, lambda: 0.99))
    await duty.settled.wait()
    task.cancel()
    await asyncio.wait([task])
    assert duty.cancelled


async def test_a_duty_that_fails_is_begun_anew_and_each_reason_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = raising(ClusterError("refused")), raising(ClusterError("away"))
    await settle(Scripted(one, other, one, other))
    assert [record.getMessage() for record in caplog.records] == ["Scripted: refused", "Scripted: away"]


async def test_the_fault_of_the_cluster_is_found_in_groups(caplog: pytest.LogCaptureFixture) -> None:
    group = BaseExceptionGroup("tasks", [ExceptionGroup("more tasks", [ClusterError("refused")])])
    await settle(Scripted(raising(group)))
    assert [record.getMessage() for record in caplog.records] == ["Scripted: refused"]


async def test_a_bug_is_told_with_its_traceback_and_the_duty_begun_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await settle(Scripted(raising(KeyError("a bug"))))
    failed = caplog.records[0]
    assert (failed.levelno, failed.getMessage()) == (logging.ERROR, "Scripted failed")
    assert failed.exc_info is not None


async def test_a_duty_that_ends_is_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    await settle(Scripted(ending))
    assert "ended" in caplog.text
