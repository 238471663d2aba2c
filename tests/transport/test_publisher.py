"""Publishing: changes gather while streams write, and nobody is forgotten."""

import asyncio

from tests.helpers.running_ads import workload
from xds_server.catalog.catalog import Catalog
from xds_server.store.collection import Change
from xds_server.transport.publisher import Publisher


class Follower:
    """A stream that notes what position it was woken at."""

    def __init__(self, catalog: Catalog, publisher: Publisher, busy: bool = False) -> None:
        self.busy = busy
        self.woken_at: list[int] = []
        self.written = asyncio.Event()
        self._catalog = catalog
        self._publisher = publisher

    def wake(self) -> None:
        self.woken_at.append(self._catalog.position)
        if not self.busy:
            asyncio.get_running_loop().call_soon(self._publisher.record_written, self)
        self.written.set()


def stage(catalog: Catalog, publisher: Publisher, version: str) -> None:
    catalog.stage_addresses({"a": Change(None, workload("a", version))})
    publisher.receive_changes()


async def test_changes_of_one_moment_are_one_publication() -> None:
    catalog = Catalog()
    publisher = Publisher(catalog)
    follower = Follower(catalog, publisher)
    publisher.follow(follower)
    running = asyncio.ensure_future(publisher.run())
    for version in range(10):
        stage(catalog, publisher, str(version))
    await follower.written.wait()
    assert (catalog.position, follower.woken_at) == (1, [1])
    running.cancel()


async def test_every_change_is_published_however_many_follow() -> None:
    catalog = Catalog()
    publisher = Publisher(catalog)
    followers = [Follower(catalog, publisher) for _ in range(3)]
    for follower in followers:
        publisher.follow(follower)
    running = asyncio.ensure_future(publisher.run())
    for version in range(5):
        for follower in followers:
            follower.written.clear()
        stage(catalog, publisher, str(version))
        for follower in followers:
            await follower.written.wait()
    assert catalog.position == 5
    assert all(follower.woken_at == [1, 2, 3, 4, 5] for follower in followers)
    running.cancel()


async def test_a_stream_that_still_writes_is_woken_but_not_waited_for() -> None:
    catalog = Catalog()
    publisher = Publisher(catalog)
    stuck, follower = Follower(catalog, publisher, busy=True), Follower(catalog, publisher)
    publisher.follow(stuck)
    publisher.follow(follower)
    running = asyncio.ensure_future(publisher.run())
    for version in range(3):
        follower.written.clear()
        stage(catalog, publisher, str(version))
        await follower.written.wait()
    assert stuck.woken_at == [1, 2, 3]
    assert publisher.pacing.cost < 0.05
    running.cancel()


async def test_a_stream_that_leaves_while_writing_holds_nobody_back() -> None:
    catalog = Catalog()
    publisher = Publisher(catalog)
    leaving = Follower(catalog, publisher)
    publisher.follow(leaving)
    running = asyncio.ensure_future(publisher.run())
    stage(catalog, publisher, "1")
    await leaving.written.wait()
    publisher.leave(leaving)
    stage(catalog, publisher, "2")
    async with asyncio.timeout(5):
        while catalog.position < 2:
            await asyncio.sleep(0)
    running.cancel()
