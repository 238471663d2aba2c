"""Connections that pods have already, marked."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from tests.helpers.scratch_node import ScratchNode, needs_root, scratch_node
from xds_server.datapath import conntrack
from xds_server.datapath.conntrack import tag_connections
from xds_server.datapath.kernel import Kernel, within
from xds_server.datapath.program import Address, Mark

pytestmark = needs_root

SKIP = Mark(0x220, 0x220)
POD, OTHER = "10.244.0.2", "10.244.0.9"
FAR, NODE = "10.244.3.2", "192.168.50.130"


@pytest.fixture(params=[5_000, 0], ids=["few connections", "many connections"], autouse=True)
def _few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of few it is looked up first whether there is one to mark at all; what is marked is the same."""
    monkeypatch.setattr(conntrack, "_FEW", request.param)


@pytest.fixture
def tracked() -> Iterator[ScratchNode]:
    with scratch_node() as node:
        yield node


def track(
    node: ScratchNode, original: tuple[str, str], reply: tuple[str, str], mark: int = 0, zone: int = 0
) -> None:
    ways = ("-s", original[0], "-d", original[1], "-r", reply[0], "-q", reply[1])
    ports = ("--sport", "1", "--dport", "2", "--reply-port-src", "2", "--reply-port-dst", "1")
    rest = ("-p", "udp", *ports, "-t", "60", "-m", str(mark))
    node.run("conntrack", "-I", *ways, *rest, *(("-w", str(zone)) if zone else ()))


def marks(node: ScratchNode) -> list[int]:
    return [
        int(word[5:])
        for line in node.run("conntrack", "-L").splitlines()
        for word in line.split()
        if word.startswith("mark=")
    ]


async def tag(node: ScratchNode, *addresses: Address) -> int:
    return await within(Kernel(node.name), lambda _: tag_connections(addresses, SKIP))


@pytest.mark.parametrize(
    ("original", "reply"),
    [
        ((POD, FAR), (FAR, POD)),
        ((FAR, POD), (POD, FAR)),
        ((OTHER, "10.96.0.80"), (POD, OTHER)),
        ((FAR, "192.168.50.131"), (FAR, POD)),
    ],
    ids=["source", "destination", "behind a service", "behind masquerading"],
)
async def test_a_connection_is_marked_wherever_it_has_the_address(
    original: tuple[str, str], reply: tuple[str, str], tracked: ScratchNode
) -> None:
    track(tracked, original, reply)
    assert await tag(tracked, IPv4Address(POD)) == 1
    assert marks(tracked) == [0x220]
    assert await tag(tracked, IPv4Address(POD)) == 0


@pytest.mark.parametrize(
    ("mark", "after"),
    [(0, 0x220), (0x4000, 0x4220), (0x210, 0x210), (0x220, 0x220), (0x200, 0x200), (0x10, 0x230)],
)
async def test_other_bits_stay_and_what_has_one_of_these_stays_as_it_is(
    mark: int, after: int, tracked: ScratchNode
) -> None:
    track(tracked, (POD, FAR), (FAR, POD), mark)
    await tag(tracked, IPv4Address(POD))
    assert marks(tracked) == [after]


async def test_connections_of_others_are_left_alone(tracked: ScratchNode) -> None:
    track(tracked, (OTHER, FAR), (FAR, OTHER))
    assert await tag(tracked, IPv4Address(POD), IPv4Address("10.244.0.7")) == 0
    assert marks(tracked) == [0]


async def test_many_addresses_and_both_families_are_marked_at_once(tracked: ScratchNode) -> None:
    pods = [POD, OTHER, "fd00::2"]
    for pod, far in zip(pods, (FAR, FAR, "fd00::9"), strict=True):
        track(tracked, (pod, far), (far, pod))
    assert await tag(tracked, *map(ip_address, pods)) == len(pods)
    assert marks(tracked) == [0x220, 0x220, 0x220]


async def test_connections_of_other_zones_are_marked_as_well(tracked: ScratchNode) -> None:
    track(tracked, (POD, FAR), (FAR, POD), zone=7)
    assert await tag(tracked, IPv4Address(POD)) == 1
    assert marks(tracked) == [0x220]


async def test_a_node_without_connections_has_none_to_mark(tracked: ScratchNode) -> None:
    assert await tag(tracked, IPv4Address(POD), IPv6Address("fd00::2")) == 0
