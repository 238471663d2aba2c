"""Making changes visible: one task that publishes the catalog and wakes all streams together."""

import asyncio
from typing import Protocol

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.pacing import Pacing


class Follower(Protocol):
    """A stream, as the publisher sees it."""

    @property
    def busy(self) -> bool: ...
    def wake(self) -> None: ...


class Publisher:
    """Publishes what is staged, at the pace that writing allows."""

    def __init__(self, catalog: Catalog) -> None:
        self.pacing = Pacing()
        self._catalog = catalog
        self._staged = asyncio.Event()
        self._written = asyncio.Event()
        self._followers: set[Follower] = set()
        self._writing: set[Follower] = set()

    def receive_changes(self) -> None:
        """Tell that something was staged."""
        self._staged.set()

    def follow(self, follower: Follower) -> None:
        self._followers.add(follower)

    def leave(self, follower: Follower) -> None:
        self._followers.discard(follower)
        self.record_written(follower)

    def record_written(self, follower: Follower) -> None:
        """Tell that a stream has written all it was owed."""
        if follower in self._writing:
            self._writing.discard(follower)
            if not self._writing:
                self.pacing.record_written(asyncio.get_running_loop().time())
                self._written.set()

    async def run(self) -> None:
        """Publish for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._staged.wait()
            await self._wait_for_turn(loop)
            self._staged.clear()
            if not self._catalog.has_staged:
                continue
            self._catalog.publish()
            self.pacing.record_published(loop.time())
            # One that still writes what came before gets all of it when it is done; nobody waits for it.
            self._writing = {follower for follower in self._followers if not follower.busy}
            self._written.clear()
            for follower in self._followers:
                follower.wake()

    async def _wait_for_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._writing:
            try:
                async with asyncio.timeout_at(self.pacing.latest()):
                    await self._written.wait()
            except TimeoutError:
                return
        pause = self.pacing.earliest() - loop.time()
        if pause > 0:
            await asyncio.sleep(pause)
