"""``offmesh status`` against a running server."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from tests.helpers.running_debug import RunningDebug, running_debug
from tests.helpers.served_mesh import MapState, ServedMesh, pod, shop
from xds_server.catalog.resource import AUTHORIZATION
from xds_server.cli import main
from xds_server.cli.status_screen import show
from xds_server.exceptions import Problem


@pytest.fixture
def mesh() -> ServedMesh:
    return shop()


@pytest.fixture
async def http(mesh: ServedMesh) -> AsyncIterator[RunningDebug]:
    async with running_debug(mesh.served) as running:
        yield running


async def status(address: str, *arguments: str) -> Result:
    """Run the command beside the event loop that serves it."""
    command = ["status", "--http-address", address, *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_it_shows_the_server_its_map_and_its_clients(http: RunningDebug, mesh: ServedMesh) -> None:
    stream = mesh.connect()
    stream.subscribe()
    stream.answer()
    stream.subscribe(type_url=AUTHORIZATION)
    result = await status(http.address)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"offmesh 0.1.0 at {http.address}: ready, position 1, 1 client"
    counts = "1 pair, 1 single, 1 conflict, loaded 2026-01-02T03:04:05.000Z"
    assert lines[1] == f"placement map /etc/offmesh/cluster-conf.yaml: {counts}"
    assert lines[2] == "certificates: none, the secure port is off"
    assert lines[3] == "conflicts (1):"
    assert "node spare has label offMeshNodeType=dpu" in lines[4]
    assert lines[5].split() == ["CLIENT", "NODE", "TYPE", "STATE", "ACKNOWLEDGED", "FOR"]
    assert lines[6].split()[1:7] == ["dpu-a", "Address", "SYNCED", "1", "of", "1"]
    assert lines[7].split()[:5] == ["Authorization", "SENT", "0", "of", "1"]
    assert lines[6].endswith(" s")
    assert lines[7].endswith(" s")


async def test_it_shows_why_a_client_rejected(http: RunningDebug, mesh: ServedMesh) -> None:
    stream = mesh.connect()
    stream.subscribe()
    stream.answer(rejection="web-1: bad address")
    output = (await status(http.address)).output
    assert "REJECTED" in output
    assert "rejections (1):" in output
    assert f"  {stream.client.id} rejected Address: web-1: bad address" in output


async def test_it_shows_a_client_that_is_behind_or_asked_for_nothing(
    http: RunningDebug, mesh: ServedMesh
) -> None:
    mesh.connect("ztunnel-a").subscribe()
    mesh.put(pod("web-3", "10.0.0.33"))
    mesh.connect("ztunnel-b")
    output = (await status(http.address)).output
    assert "SENT, behind" in output
    assert "unknown#2" in output


async def test_it_shows_problems_of_inputs_and_objects(http: RunningDebug, mesh: ServedMesh) -> None:
    mesh.problems.replace("b.yaml", [Problem("b.yaml:7", "Pod shop/x", "true", "a mapping")])
    mesh.put(pod("broken", "10.0.0.300"))
    output = (await status(http.address)).output
    assert "problems (2):" in output
    assert "  b.yaml:7: Pod shop/x is true: expected a mapping" in output
    assert "  pod workloads: shop/broken: " in output


async def test_it_shows_that_the_last_reload_of_the_map_failed(http: RunningDebug, mesh: ServedMesh) -> None:
    mesh.placement.state = MapState(failure=(Problem("conf.yaml:3", "cpuNodeIP", "x", "an IP"),))
    output = (await status(http.address)).output
    assert "the last reload failed, the map in force stays (1):\n  conf.yaml:3: cpuNodeIP is x" in output


async def test_one_screen_shows_the_worst_clients_of_a_fleet(http: RunningDebug, mesh: ServedMesh) -> None:
    for number in range(50):
        stream = mesh.connect(f"ztunnel-{number:02}")
        stream.subscribe()
        stream.answer(rejection="no" if number == 42 else None)
    output = (await status(http.address)).output
    assert output.index("ztunnel-42") < output.index("ztunnel-00") < output.index("ztunnel-18")
    assert "ztunnel-19" not in output
    assert "and 30 more clients, none worse: --format json has all" in output


async def test_one_screen_shows_the_first_of_many_problems(http: RunningDebug, mesh: ServedMesh) -> None:
    mesh.problems.replace("b.yaml", [Problem(f"b.yaml:{line}", "file", "", "YAML") for line in range(30)])
    output = (await status(http.address)).output
    assert "problems (30):" in output
    assert "b.yaml:9:" in output
    assert "b.yaml:10:" not in output
    assert "  and 20 more: --format json has all" in output


async def test_no_text_of_a_client_reaches_the_terminal_as_a_command(
    http: RunningDebug, mesh: ServedMesh
) -> None:
    stream = mesh.connect("\x1b[2J[red]\u202e", node="a\nb")
    stream.subscribe()
    stream.answer(rejection="\x9b2J [bold] \r gone")
    output = (await status(http.address)).output
    assert not set("\x1b\x9b\r\u202e") & set(output)
    assert "a\ufffdb" in output
    assert "[red]" in output
    assert "\ufffd2J [bold] \ufffd gone" in output


def test_pairs_that_are_down_are_shown_with_their_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"cpuNode": "cpu-a", "dpuNode": "dpu-a", "forSeconds": 3.0, "reasons": ["LeaseExpired"]}
    placement: dict[str, object] = {
        "pairs": [],
        "singles": [],
        "conflicts": [],
        "failure": [],
        "loadedAt": None,
        "path": "map",
    }
    problems = {"inputs": [], "derived": [], "counts": {"inputs": 0, "derived": 0, "reported": 0}}
    report = {
        "ready": True,
        "reason": "",
        "version": "1",
        "position": 1,
        "clients": [],
        "address": "here",
        "placement": placement,
        "problems": problems,
        "identities": None,
        "time": "2026-01-01T00:00:00.000Z",
    }
    show({**report, "liveness": {"pairs": [{**told, "state": "down"}, {**told, "state": "up"}]}})
    out = capsys.readouterr().out
    assert "pairs that are down (1):" in out
    assert out.count("cpu-a on dpu-a, for 3 s: LeaseExpired") == 1
    show({**report, "liveness": None})
    assert "down" not in capsys.readouterr().out


async def test_json_has_everything(http: RunningDebug, mesh: ServedMesh) -> None:
    for _ in range(50):
        mesh.connect().subscribe()
    result = await status(http.address, "--format", "json")
    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (told["ready"], told["reason"], told["version"], told["position"]) == (True, "", "0.1.0", 1)
    assert len(told["clients"]) == 50
    assert told["placement"] == await http.json("/debug/placementz")
    assert told["problems"] == await http.json("/debug/errorsz")


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_server_that_is_not_ready_is_shown_and_a_failure(
    http: RunningDebug, mesh: ServedMesh, form: str
) -> None:
    mesh.readiness.need("objects", "the manifests are not loaded")
    mesh.placement.state = None
    result = await status(http.address, "--format", form)
    assert result.exit_code == 1
    assert "the manifests are not loaded" in result.stdout
    assert (
        result.stderr == f"offmesh: the server at {http.address} is not ready: the manifests are not loaded\n"
    )


async def test_a_server_that_is_away_is_one_clear_line() -> None:
    result = await status("127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "offmesh: the server at 127.0.0.1:1 cannot be reached: Connection refused\n"


@pytest.mark.parametrize("body", ["<html>", "[]", "{}", '{"ready": true}', "null"])
async def test_another_server_is_not_mistaken_for_ours(body: str) -> None:
    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(text=body)

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = "{}:{}".format(*runner.addresses[0])
    result = await status(address)
    await runner.cleanup()
    assert result.exit_code == 1
    assert result.stderr == f"offmesh: what answers at {address} is not the debug HTTP of offmesh\n"


async def test_a_server_that_refuses_is_quoted(mesh: ServedMesh) -> None:
    async with running_debug(mesh.served, health_only=True) as health:
        result = await status(health.address)
    assert result.exit_code == 1
    assert "the server answered /debug/placementz with 404: unknown path" in result.stderr


async def test_what_is_no_address_is_wrong_usage() -> None:
    result = await status("nowhere")
    assert result.exit_code == 2
    assert "--http-address nowhere: expected HOST:PORT" in result.stderr


async def test_the_address_may_come_from_the_environment(http: RunningDebug) -> None:
    environment = {"OFFMESH_HTTP_ADDRESS": http.address}
    result = await asyncio.to_thread(CliRunner().invoke, main, ["status"], env=environment)
    assert result.exit_code == 0
    assert http.address in result.output
