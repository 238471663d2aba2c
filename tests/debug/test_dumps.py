"""Large answers: whole, of one moment, and never in the way of a push."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from tests.helpers.running_ads import DeltaClient, running_ads, workload
from tests.helpers.running_debug import RunningDebug, running_debug
from tests.helpers.served_mesh import ServedMesh, pod
from xds_server.debug.dumps import Dumps
from xds_server.debug.json_text import json_slices
from xds_server.debug.question import Question
from xds_server.debug.views_addresses import ambientz
from xds_server.store.collection import Change

PODS = 1_000


async def test_a_large_dump_is_whole_and_in_order() -> None:
    mesh = ServedMesh()
    mesh.put_pods(PODS)
    async with running_debug(mesh.served) as http:
        response = await http.get("/debug/ambientz")
        assert response.headers["Transfer-Encoding"] == "chunked"
        names = [workload["name"] for workload in (await response.json())["workloads"]]
        assert names == [f"pod-{number:05}" for number in range(PODS)]


async def test_a_dump_is_of_one_moment_whatever_changes_meanwhile() -> None:
    mesh = ServedMesh()
    mesh.put_pods(3)
    told = ambientz(mesh.served, Question())
    mesh.put(pod("pod-00001", "10.0.0.1", app="other"), pod("pod-00009", "10.0.0.9"))
    workloads = json.loads(b"".join(json_slices(lambda: told, pretty=False)))["workloads"]
    named = [(workload["name"], workload["canonicalName"]) for workload in workloads]
    assert named == [("pod-00000", "web"), ("pod-00001", "web"), ("pod-00002", "web")]


async def test_pushes_do_not_wait_for_a_hundred_dumps() -> None:
    async with running_ads("pushed") as ads, DeltaClient(ads.address) as client:
        mesh = ServedMesh(ads.catalog, ads.clients)
        mesh.put_pods(PODS)
        await client.subscribe()
        await client.receive()
        async with running_debug(mesh.served) as http, asyncio.TaskGroup() as tasks:
            dumps = [tasks.create_task(http.get("/debug/ambientz")) for _ in range(100)]
            await asyncio.wait(dumps, return_when=asyncio.FIRST_COMPLETED)
            for version in range(20):
                ads.put("pushed", version=str(version))
                (resource,) = (await client.receive()).resources
                assert resource.name == "pushed"
            still_waiting = [dump for dump in dumps if not dump.done()]
            assert len(still_waiting) > 50
        assert {len((await dump.result().json())["workloads"]) for dump in dumps} == {PODS + 1}


async def test_a_question_about_clients_does_not_wait_for_dumps_of_the_mesh() -> None:
    mesh = ServedMesh()
    mesh.put_pods(PODS)
    async with running_debug(mesh.served) as http, asyncio.TaskGroup() as tasks:
        dumps = [tasks.create_task(http.get("/debug/ambientz")) for _ in range(20)]
        await asyncio.wait(dumps, return_when=asyncio.FIRST_COMPLETED)
        assert (await http.json("/debug/syncz"))["clients"] == []
        assert (await http.get("/metrics")).status == 200
        assert not all(dump.done() for dump in dumps)


def put_more_than_buffers_hold(mesh: ServedMesh) -> None:
    for number in range(1_000):
        large = workload(f"w{number}", padding=20_000)
        mesh.catalog.stage_addresses({large.name: Change(None, large)})
    mesh.catalog.publish()


async def stalled_reader(http: RunningDebug) -> asyncio.StreamWriter:
    """Ask for a dump, and read no more than its beginning."""
    host, port = http.address.split(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1)
    writer.write(f"GET /debug/ambientz HTTP/1.1\r\nHost: {http.address}\r\n\r\n".encode())
    assert await reader.readexactly(12) == b"HTTP/1.1 200"
    return writer


async def test_readers_that_stall_are_cut_off_and_their_places_given_to_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    mesh = ServedMesh()
    put_more_than_buffers_hold(mesh)
    async with running_debug(mesh.served) as http:
        await http.json("/live")
        stalled = [await stalled_reader(http) for _ in range(2)]
        open_files = count_open_files()
        assert (await http.json("/debug/ambientz?name=none"))["workloads"] == []
        assert count_open_files() < open_files
        for writer in stalled:
            writer.close()
    assert "127.0.0.1 stopped reading /debug/ambientz" in caplog.messages


def count_open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_readers_that_leave_no_longer_wait() -> None:
    mesh = ServedMesh(stall_seconds=3_600)
    put_more_than_buffers_hold(mesh)
    async with running_debug(mesh.served) as http:
        stalled = [await stalled_reader(http) for _ in range(2)]
        tasks = asyncio.all_tasks()
        waiting = [asyncio.ensure_future(http.get("/debug/ambientz")) for _ in range(20)]
        await http.json("/live")
        for request in waiting:
            request.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        while [task for task in asyncio.all_tasks() - tasks if "_handle_request" in str(task.get_coro())]:
            await asyncio.sleep(0.01)
        for writer in stalled:
            writer.close()
        assert len((await http.json("/debug/ambientz"))["workloads"]) == 1_000


async def test_between_two_turns_of_the_event_loop_one_slice_is_made_for_all() -> None:
    made: Counter[int] = Counter()
    turns = 0

    def elements() -> Iterator[int]:
        for number in range(320):
            made[turns] += 1
            yield number

    dumps = Dumps(stall_seconds=60)
    requests = [make_mocked_request("GET", f"/{number}") for number in range(8)]
    answers = [asyncio.ensure_future(dumps.answer(request, elements, False)) for request in requests]
    while not all(answer.done() for answer in answers):
        turns += 1
        await asyncio.sleep(0)
    assert made.total() == 8 * 320
    assert max(made.values()) <= 32


async def test_stopping_does_not_wait_for_a_reader_that_stalls() -> None:
    mesh = ServedMesh(stall_seconds=3_600)
    put_more_than_buffers_hold(mesh)
    async with running_debug(mesh.served) as http:
        writer = await stalled_reader(http)
    writer.close()


async def test_a_dump_that_breaks_is_not_mistaken_for_a_whole_one() -> None:
    mesh = ServedMesh()
    mesh.put_pods(PODS)
    last = mesh.catalog.lookup.addresses["Kubernetes//Pod/shop/pod-00999"]
    mesh.catalog.lookup.addresses[last.name] = last.__class__(last.name, b"\x0a\xff\xff", ())
    async with running_debug(mesh.served) as http:
        request = f"GET /debug/ambientz HTTP/1.1\r\nHost: {http.address}\r\n\r\n".encode()
        try:
            answer = await http.raw(request)
        except ConnectionError:
            answer = b""
        assert not answer.endswith(b"0\r\n\r\n")
        assert await http.json("/live") == {"live": True}
