"""The proxies of the fault tests do the faults they are asked for, and nothing else."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import aiohttp
import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_client import ClusterClient, RefusedError
from tests.helpers.cluster_objects import pod
from tests.helpers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.helpers.rewriting_proxy import Answer, Edit, EndAfter, Fault, RewritingProxy, rewriting_proxy


class Link:
    """A connection to an echo, by way of a proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def echoed(self, data: bytes) -> bytes:
        """Return what comes back of some bytes; fewer come when the connection ends."""
        try:
            self.writer.write(data)
            return await self._reader.readexactly(len(data))
        except asyncio.IncompleteReadError as ended:
            return ended.partial
        except ConnectionError:
            return b""


class Echo:
    """A server that says what it is told, behind a proxy."""

    def __init__(self, proxy: FaultyProxy, heard: bytearray) -> None:
        self.proxy = proxy
        self.heard = heard
        self.links: list[Link] = []

    async def link(self) -> Link:
        link = Link(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
        self.links.append(link)
        return link


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100):
                heard.extend(data)
                writer.write(data)
        writer.close()

    async with (
        await asyncio.start_server(serve, "127.0.0.1", 0) as server,
        faulty_proxy(server.sockets[0].getsockname()[1]) as proxy,
    ):
        made = Echo(proxy, heard)
        yield made
        for link in made.links:
            link.writer.transport.abort()


async def test_without_a_fault_bytes_pass_and_connections_are_counted(echo: Echo) -> None:
    one, other = await echo.link(), await echo.link()
    assert [await one.echoed(b"one"), await other.echoed(b"other")] == [b"one", b"other"]
    assert echo.proxy.connections == 2


async def test_a_cut_ends_connections_and_makes_none_until_it_is_mended(
    echo: Echo,
) -> None:
    link = await echo.link()
    assert await link.echoed(b"one") == b"one"
    echo.proxy.cut()
    assert await link.echoed(b"two") == b""
    assert await (await echo.link()).echoed(b"three") == b""
    echo.proxy.mend()
    assert await (await echo.link()).echoed(b"four") == b"four"


async def test_a_drop_ends_connections_and_new_ones_are_made(echo: Echo) -> None:
    link = await echo.link()
    assert await link.echoed(b"one") == b"one"
    echo.proxy.drop()
    assert await link.echoed(b"two") == b""
    assert await (await echo.link()).echoed(b"three") == b"three"


async def test_a_stall_keeps_connections_and_holds_back_what_they_carry(
    echo: Echo,
) -> None:
    link = await echo.link()
    assert await link.echoed(b"one") == b"one"
    echo.proxy.stall()
    late = await echo.link()
    waiting = [asyncio.create_task(link.echoed(b"two")), asyncio.create_task(late.echoed(b"three"))]
    done, _ = await asyncio.wait(waiting, timeout=0.1)
    assert not done
    assert echo.heard == b"one"
    echo.proxy.mend()
    assert await asyncio.gather(*waiting) == [b"two", b"three"]


async def test_a_connection_can_end_in_the_midst_of_what_it_brings(echo: Echo) -> None:
    link = await echo.link()
    echo.proxy.truncate(3)
    assert await link.echoed(b"one two") == b"one"
    assert echo.heard == b"one two"
    assert await (await echo.link()).echoed(b"three") == b"three"


async def test_bytes_can_be_made_late(echo: Echo) -> None:
    link, clock = await echo.link(), asyncio.get_running_loop().time
    echo.proxy.delay(0.05)
    begin = clock()
    assert await link.echoed(b"one") == b"one"
    assert clock() - begin >= 0.1


PODS = "/api/v1/namespaces/rewritten/pods"
NAMES = ("one", "two", "last")


async def names_of(lines: aiohttp.StreamReader) -> AsyncGenerator[str]:
    """Yield the name in each event up to the last, or how it came to end before that."""
    try:
        async for line in lines:
            yield json.loads(line)["object"]["metadata"]["name"]
    except ValueError:
        yield "no JSON"
    except aiohttp.ClientPayloadError:
        yield "broken off"
    else:
        yield "ended"


async def told_by(proxy: RewritingProxy, server: ApiServer) -> list[str]:
    """Return what a watch tells, by way of the proxy, while three pods are made."""
    made = await server.apply(pod("rewritten/before", "n1"))
    path = f"{PODS}?watch=1&resourceVersion={made[0]['metadata']['resourceVersion']}"
    told, client = list[str](), ClusterClient(proxy.url, server.ca_path)
    async with client.stream(path) as lines, aclosing(names_of(lines)) as names:
        made += await server.apply(*(pod(f"rewritten/{name}", "n1") for name in NAMES))
        async for name in names:
            told.append(name)
            if name == "last":
                break
    await client.close()
    await server.delete(*made)
    return told


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (None, ["one", "two", "last"]),
        (Edit(lambda line: [line, line]), ["one", "one", "two", "two", "last"]),
        (Edit(lambda line: [] if b'"name":"two"' in line else [line]), ["one", "last"]),
        (Edit(lambda line: [b"<html>\n"]), ["no JSON"]),
        (Edit(lambda line: None), ["broken off"]),
        (EndAfter(2), ["one", "two", "ended"]),
    ],
    ids=["nothing", "twice", "left out", "replaced", "broken off", "ended"],
)
async def test_the_lines_of_a_watch_become_what_the_rule_says(
    api_server: ApiServer, fault: Fault | None, told: list[str]
) -> None:
    async with rewriting_proxy(api_server) as proxy:
        proxy.rule = lambda request: fault if "watch" in request.query else None
        assert await told_by(proxy, api_server) == told


async def test_an_answer_is_given_in_the_servers_place_and_all_else_comes_from_it(
    api_server: ApiServer,
) -> None:
    async with rewriting_proxy(api_server) as proxy:
        proxy.rule = lambda request: Answer(429, b"later") if request.path == "/livez" else None
        client = ClusterClient(proxy.url, api_server.ca_path)
        with pytest.raises(RefusedError, match="429 later"):
            await client.request("GET", "/livez")
        assert await client.request("GET", "/readyz") == "ok"
        with pytest.raises(RefusedError, match="401"):
            await client.request("GET", "/readyz", token="of-nobody")  # noqa: S106
        await client.close()
        assert proxy.asked == ["/livez", "/readyz", "/readyz"]


async def test_a_server_that_is_away_is_away_behind_the_proxy_too(own_api_server: ApiServer) -> None:
    async with rewriting_proxy(own_api_server) as proxy:
        await own_api_server.stop_server()
        client = ClusterClient(proxy.url, own_api_server.ca_path)
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.request("GET", "/readyz")
        await client.close()
