"""What a leader does, kept going as long as it leads."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Protocol

from xds_server.cluster.backoff import Backoff
from xds_server.exceptions import ClusterError

_LONGEST_PAUSE = 30.0
_GOOD_RUN = 60.0
"""After so long without a failure the next one is the first again."""

log = logging.getLogger(__name__)


class Duty(Protocol):
    """Something only the leader does."""

    async def run(self) -> None:
        """Do it for ever; cancelled when leadership ends. A ClusterError may end it: it is begun anew."""


async def perform(duty: Duty, random: Callable[[], float]) -> None:
    """Run a duty for ever: one that fails is begun anew, and why it failed is told once."""
    clock = asyncio.get_running_loop().time
    backoff, told = Backoff(random, longest=_LONGEST_PAUSE), set[str]()
    while True:
        began_at = clock()
        error = await _failure(duty)
        if clock() - began_at >= _GOOD_RUN:
            backoff.reset()
            told.clear()
        if str(error) not in told:
            told.add(str(error))
            log.warning("%s: %s", type(duty).__name__, error)
        await asyncio.sleep(backoff.after(error))


async def _failure(duty: Duty) -> ClusterError:
    """Run a duty until it fails, and return why as far as that is the cluster's fault."""
    # In a task of its own: a task group of the duty that is just failing would swallow a cancellation.
    run = asyncio.create_task(duty.run())
    try:
        await asyncio.wait({run})
    finally:
        run.cancel()
        await asyncio.wait({run})
        error = None if run.cancelled() else run.exception()
    failures = list(_cluster_errors(error))
    if error is not None and not failures:
        log.error("%s failed", type(duty).__name__, exc_info=error)
    return failures[0] if failures else ClusterError("ended, and is begun anew")


def _cluster_errors(error: BaseException | None) -> Iterator[ClusterError]:
    if isinstance(error, ClusterError):
        yield error
    elif isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _cluster_errors(one)
