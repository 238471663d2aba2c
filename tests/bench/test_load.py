"""The load client, against the real server: it keeps to HTTP/2 and counts what it sees."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.changes import REVISION_MARK
from bench.load import Recorder, summary
from bench.ztunnels import ADDRESS, Response, Ztunnel, Ztunnels
from tests.helpers.running_ads import running_ads
from xds_server.sessions.acknowledgement import SyncState

SECONDS = 20.0


class Watched:
    """Clients on a thread of their own, and what they recorded."""

    def __init__(self, address: str) -> None:
        self.recorder = Recorder()
        self.responses: list[Response] = []
        self.clients = Ztunnels(address, self._receive)

    def _receive(self, client: Ztunnel, response: Response, now_ns: int) -> None:
        self.recorder.receive(client, response, now_ns)
        self.responses.append(response)

    async def until(self, condition: Callable[[], bool]) -> None:
        await asyncio.to_thread(self.clients.run, SECONDS, condition)
        assert condition()

    async def synchronize(self, count: int, versions: dict[str, str] | None = None) -> None:
        self.clients.open(count, versions)
        await self.until(lambda: self.clients.all_told)


def versions(watched: Watched) -> dict[str, str]:
    sent = [response.decode() for response in watched.responses if response.type_url == ADDRESS]
    return {resource.name: resource.version for response in sent for resource in response.resources}


@contextmanager
def watching(address: str) -> Iterator[Watched]:
    watched = Watched(address)
    with watched.clients:
        yield watched


async def test_all_clients_are_in_sync_and_everything_is_counted() -> None:
    async with running_ads("a", "b", "c") as server:
        with watching(server.address) as watched:
            await watched.synchronize(5)
    told = summary(watched.clients, watched.recorder)
    assert (told["clients"], told["synced"], told["refused"], told["resources"]) == (5, 5, 0, 15)
    assert 0 < told["sync_p50_s"] <= told["sync_p99_s"] <= told["sync_max_s"] < SECONDS


async def test_every_response_is_acknowledged() -> None:
    async with running_ads("a") as server:
        with watching(server.address) as watched:
            await watched.synchronize(3)
            async with asyncio.timeout(SECONDS):
                while server.clients.totals.acknowledgements.total() < 6:
                    await asyncio.sleep(0.01)
            states = [
                subscription.acknowledgements.state
                for client in server.clients
                for subscription in client.session.subscriptions.values()
            ]
    assert states == [SyncState.SYNCED] * 6


async def test_a_response_far_larger_than_the_window_arrives_whole() -> None:
    async with running_ads() as server:
        server.put(*(f"pod-{number}" for number in range(90)), padding=100_000)
        with watching(server.address) as watched:
            await watched.synchronize(1)
            await watched.until(lambda: watched.recorder.resources == 90)
    assert watched.recorder.bytes > 9_000_000


async def test_a_client_that_sends_megabytes_of_versions_is_sent_nothing_again() -> None:
    names = [f"pod-{number}-{'x' * 100}" for number in range(20_000)]
    async with running_ads(*names) as server:
        with watching(server.address) as first, watching(server.address) as again:
            await first.synchronize(1)
            held = versions(first)
            await again.synchronize(1, held)
    assert len(held) == len(names)
    assert again.recorder.resources == 0


async def test_pushes_are_noted_with_client_name_and_revision_once_held() -> None:
    async with running_ads("a", "b") as server:
        with watching(server.address) as watched:
            await watched.synchronize(3)
            watched.recorder.holding = True
            server.put("b", version=f"{REVISION_MARK}41")
            server.put("a", version="unmarked")
            await watched.until(lambda: watched.recorder.resources == 3 * 4)
    arrivals = list(watched.recorder.arrivals(REVISION_MARK))
    assert sorted(item[:3] for item in arrivals) == [(client, "b", 41) for client in range(3)]
    assert all(item.at_ns > watched.clients.opened_ns for item in arrivals)


async def test_streams_that_the_server_ends_are_lost_not_refused() -> None:
    async with running_ads("a") as server:
        with watching(server.address) as watched:
            await watched.synchronize(2)
            assert not watched.clients.ended
            stopping = asyncio.create_task(server.stop())
            await watched.until(lambda: watched.clients.ended.total() == 2)
            await stopping
    assert summary(watched.clients, watched.recorder)["refused"] == 0


async def test_clients_that_nobody_listens_to_are_refused() -> None:
    async with running_ads() as server:
        address = server.address
    with watching(address) as watched:
        await watched.synchronize(2)
    assert summary(watched.clients, watched.recorder)["refused"] == 2


async def test_clients_of_a_server_that_still_loads_wait_and_are_not_refused() -> None:
    async with running_ads("a", ready=False) as server:
        with watching(server.address) as watched:
            watched.clients.open(4)
            async with asyncio.timeout(SECONDS):
                while len(server.clients) < 4:
                    await asyncio.to_thread(watched.clients.run, 0.01)
            assert not any(client.synced_ns for client in watched.clients.clients)
            server.ads.ready.set()
            await watched.until(lambda: watched.clients.all_told)
    assert watched.recorder.resources == 4
