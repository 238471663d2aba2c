"""
Which replica leads, and its duties.

Theory
1. Who holds the Lease leads. The ``kubernetes`` package campaigns for it and renews it; it reads the
   machine's clock, which may be set, so a leader also counts by a clock that only runs: when its last
   renewal is older than ``renew_seconds``, or somebody else holds the Lease, its duties end at once.
2. Others wait for ``lease_seconds`` after the last renewal they saw, which is longer: the duties of
   two leaders overlap only where a process is stopped for that long and then goes on.
3. A replica that ends lets go of the Lease after its duties have ended, so that the next one leads
   within a retry. One that dies is followed within ``lease_seconds`` and a retry.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from xds_server.cluster.connection import ApiConnection
from xds_server.exceptions import ClusterError
from xds_server.leadership.duties import Duty, perform
from xds_server.leadership.lease import LeaseLock
from xds_server.leadership.timing import ElectionTiming

_PACKAGE = "kubernetes.aio.leaderelection.leaderelection"

log = logging.getLogger(__name__)


class Election:
    """One candidate; ``run`` it for as long as the server serves."""

    def __init__(
        self,
        connection: ApiConnection,
        place: tuple[str, str],
        identity: str,
        duties: Sequence[Duty],
        timing: ElectionTiming | None = None,
    ) -> None:
        """Be ``identity``, a name no other replica has, in the election on the Lease at ``place``."""
        self.leading = False
        self._place = "{}/{}".format(*place)
        self._timing = timing or ElectionTiming()
        self._lock = LeaseLock(connection, place, identity, self._timing)
        self._duties = tuple(duties)

    @property
    def leader(self) -> str:
        """Who led when last heard; empty when nobody did or it is not known."""
        return self._lock.holder

    @property
    def transitions(self) -> int:
        """How often leadership has changed hands since the Lease was made; all replicas say the same."""
        return self._lock.transitions

    async def run(self) -> None:
        """Be a candidate, and lead whenever elected, for ever; when cancelled, let others lead at once."""
        self._lock.package = await asyncio.to_thread(_load_package)
        try:
            while True:
                await self._campaign()
        finally:
            await self._release()

    async def _campaign(self) -> None:
        """Be a candidate until a term is over."""
        elected = asyncio.get_running_loop().create_future()
        # Nothing in here may raise: a group that ends by an error may swallow that this task is cancelled.
        async with asyncio.TaskGroup() as tasks:
            standing = tasks.create_task(self._stand(elected))
            if await elected:
                standing.add_done_callback(lambda _done: self._lock.lost.set())
                leading = tasks.create_task(self._lead())
                await self._lose()
                leading.cancel()
            standing.cancel()
        if not elected.result():
            await asyncio.sleep(self._timing.retry_seconds)

    async def _stand(self, elected: "asyncio.Future[bool]") -> None:
        """Let the package campaign and then renew, until it gives up."""
        timing, package = self._timing, self._lock.package

        async def begin() -> None:
            if not elected.done():
                elected.set_result(True)

        try:
            periods = (timing.lease_seconds, timing.renew_seconds, timing.retry_seconds)
            config = package.Config(self._lock, *periods, begin, None)
            await package.LeaderElection(config).run()
        except Exception:
            log.exception("the election on the lease %s failed", self._place)
        finally:
            if not elected.done():
                elected.set_result(False)

    async def _lead(self) -> None:
        """Run the duties for ever."""
        async with asyncio.TaskGroup() as tasks:
            for duty in self._duties:
                tasks.create_task(perform(duty, random.random))
            await asyncio.Event().wait()  # also without a duty

    async def _lose(self) -> None:
        """Return when the lease is lost, or was not renewed for too long (rule 1)."""
        clock, lock = asyncio.get_running_loop().time, self._lock
        log.info("this replica leads: it holds the lease %s", self._place)
        self.leading = True
        try:
            while not lock.lost.is_set() and lock.renewed_at + self._timing.renew_seconds > clock():
                try:
                    async with asyncio.timeout_at(lock.renewed_at + self._timing.renew_seconds):
                        await lock.lost.wait()
                except TimeoutError:
                    continue
        finally:
            self.leading = False
        log.warning("this replica leads no longer: the lease %s was lost", self._place)

    async def _release(self) -> None:
        """Release the lease, in a task of its own: the one that runs this is being cancelled."""
        release = asyncio.create_task(self._lock.release())
        done, _ = await asyncio.wait({release}, timeout=self._timing.release_seconds)
        if not done:
            release.cancel()
            await asyncio.wait({release})
            log.info("the lease %s could not be released in time: others wait until it expires", self._place)
        elif isinstance(error := release.exception(), ClusterError):
            log.info("the lease %s is not released, others wait until it expires: %s", self._place, error)
        else:
            release.result()


def _load_package() -> Any:
    """Import the package, which takes a second, and let it be silent of what is told here."""
    package = import_module(_PACKAGE)
    logging.getLogger(_PACKAGE).setLevel(logging.CRITICAL)
    return package
