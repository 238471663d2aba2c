"""Who may read: not a page of another site, by whatever name it found us."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import make_mocked_request

from tests.helpers.running_debug import RunningDebug, running_debug
from tests.helpers.served_mesh import ServedMesh
from xds_server.debug.guard import Guard
from xds_server.debug.question import RefusedError


@pytest.fixture
async def http(mesh: ServedMesh) -> AsyncIterator[RunningDebug]:
    async with running_debug(mesh.served) as running:
        yield running


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:15014",
        "localhost.evil.example",
        "192.0.2.1",
        "0.0.0.0",
        "[2001:db8::1]",
        "2130706433",
    ],
)
async def test_a_name_that_was_bound_to_our_address_gets_nothing(http: RunningDebug, host: str) -> None:
    response = await http.get("/debug/ambientz", Host=host)
    assert response.status == 403
    assert host in (await response.json())["error"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "127.8.8.8:1", "[::1]:15014"]
)
async def test_loopback_by_any_name_is_answered(http: RunningDebug, host: str) -> None:
    assert (await http.get("/debug/syncz", Host=host)).status == 200


async def test_a_request_without_host_gets_nothing(http: RunningDebug) -> None:
    answer = await http.raw(b"GET /debug/syncz HTTP/1.0\r\n\r\n")
    assert b" 403 " in answer.split(b"\r\n")[0]


async def test_a_port_open_to_all_takes_any_address_but_no_other_name(mesh: ServedMesh) -> None:
    async with running_debug(mesh.served, "0.0.0.0:0") as http:
        assert (await http.get("/debug/syncz", Host="192.0.2.1:15014")).status == 200
        assert (await http.get("/debug/syncz", Host="[2001:db8::1]")).status == 200
        assert (await http.get("/debug/syncz", Host="evil.example")).status == 403


@pytest.mark.parametrize("bound", ["127.0.0.1", "192.0.2.1"])
def test_the_name_that_the_flag_gives_is_answered(bound: str) -> None:
    guard = Guard(["Debug.example"], bound)
    guard.check(make_mocked_request("GET", "/", {"Host": "debug.Example:15014"}))
    with pytest.raises(RefusedError, match=r"evil\.example"):
        guard.check(make_mocked_request("GET", "/", {"Host": "evil.example"}))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Origin": "http://{own}"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
    ],
)
async def test_a_page_of_another_site_gets_nothing(
    http: RunningDebug, headers: dict[str, str], status: int
) -> None:
    sent = {name: value.format(own=http.address) for name, value in headers.items()}
    response = await http.get("/debug/syncz", **sent)
    assert response.status == status
    assert "Access-Control-Allow-Origin" not in response.headers
