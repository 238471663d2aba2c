"""Where the debug server listens, and what is said of an address that it cannot have."""

from collections.abc import AsyncIterator

import pytest

from tests.helpers.running_debug import RunningDebug, running_debug
from tests.helpers.served_mesh import ServedMesh
from xds_server.debug.health import HealthServer
from xds_server.debug.http import DebugServer
from xds_server.exceptions import InputError


@pytest.fixture
async def http(mesh: ServedMesh) -> AsyncIterator[RunningDebug]:
    async with running_debug(mesh.served) as running:
        yield running


@pytest.mark.parametrize(
    ("address", "start"),
    [("127.0.0.1:0", "127.0.0.1:"), ("[::1]:0", "[::1]:"), ("localhost:0", "127.0.0.1:")],
)
async def test_port_0_is_a_free_port_of_the_address(mesh: ServedMesh, address: str, start: str) -> None:
    async with running_debug(mesh.served, address) as http:
        assert http.address.startswith(start)
        assert int(http.address.removeprefix(start)) > 0
        assert await http.json("/live") == {"live": True}


async def test_no_host_is_every_address_of_the_machine(mesh: ServedMesh) -> None:
    async with running_debug(mesh.served, ":0", health_only=True) as health:
        port = health.address.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            assert (await health.session.get(f"http://{host}:{port}/live")).status == 200


@pytest.mark.parametrize("health_only", [False, True])
@pytest.mark.parametrize(
    "address",
    [
        "",
        "15014",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "::1:15014",
        "127.0.0.1:-1",
        "127.0.0.1:\u0661",
        ":99999999999",
    ],
)
async def test_what_is_no_address_is_named_with_its_flag(
    mesh: ServedMesh, address: str, health_only: bool
) -> None:
    flag = "--health-address" if health_only else "--http-address"
    with pytest.raises(InputError, match=f"^{flag} .*: expected HOST:PORT"):
        server = HealthServer(mesh.served.readiness) if health_only else DebugServer(mesh.served)
        await server.start(address)


@pytest.mark.parametrize("address", ["192.0.2.1:15014", "no-such-host.invalid:15014", "a..b:15014"])
async def test_an_address_that_is_not_ours_is_named_with_its_flag(mesh: ServedMesh, address: str) -> None:
    with pytest.raises(InputError, match=f"^--http-address {address}: cannot be bound: ."):
        await DebugServer(mesh.served).start(address)


async def test_an_address_in_use_is_named_with_its_flag(http: RunningDebug, mesh: ServedMesh) -> None:
    with pytest.raises(InputError, match=r"^--http-address 127.*: cannot be bound: Address already in use"):
        await DebugServer(mesh.served).start(http.address)
