"""What connections meet in the course of their lives: bulk, small paths, programs that change."""

import asyncio
from dataclasses import replace

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import programmed
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected, way_of
from tests.netns.cases import INBOUND, OUTBOUND
from tests.netns.cases_hosts import FROM_HOSTS
from tests.netns.conftest import Build
from tests.netns.lives import live, retransmitted
from xds_server.datapath.execute import execute
from xds_server.datapath.program import Table
from xds_server.datapath.steps import RestoreTable
from xds_server.datapath.words import rule_lines

REMOTE, SERVICE, PLAIN_FAR, PLAIN_NEAR = OUTBOUND[0], OUTBOUND[2], INBOUND[0], INBOUND[1]
PROBE = FROM_HOSTS[0]
WANTED = Wanted()
WITHOUT_P1A = replace(WANTED, meshed=WANTED.meshed - {"p1a"})
MEGABYTE = 1 << 20

# Who of an own pair's pod is connected to, or is connected from.
CONNECTIONS = {
    "to a service": ("p1a", "10.96.0.80:80"),
    "to a pod that is not meshed": ("p1a", "p2n"),
    "to the world": ("p1a", "203.0.113.10"),
    "from another node": ("p2n", "p1a"),
    "from its node": ("p1n", "p1a"),
    "from the node itself": ("cpu1", "p1a"),
}


def prepared(lab: Lab) -> None:
    lab.hold(WANTED)


def labs(*flavours: str) -> pytest.MarkDecorator:
    each = [pytest.param((Options(flavour=flavour), prepared), id=flavour) for flavour in flavours]
    return pytest.mark.parametrize("shared", each, indirect=True, scope="session")


both, v2 = labs("v2", "v1"), labs("v2")


@pytest.fixture
def lab(shared: Lab) -> Lab:
    shared.forget_connections()
    shared.hold(WANTED)
    return shared


@both
def test_bulk_passes_whole_both_ways(lab: Lab) -> None:
    before = {node.name: _trouble(lab, node.name) for node in lab.topology.nodes}
    for client, to in (("p1a", "p2a"), ("p1a", "p1b"), ("p1a", "p2n"), ("p2n", "p1a")):
        with live(lab, client, to) as connection:
            connection.exchange(bytes(range(256)) * (8 * MEGABYTE // 256))
            connection.end()
    assert {node.name: _trouble(lab, node.name) for node in lab.topology.nodes} == before


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_no_segment_is_lost_while_programs_are_loaded_again(build: Build, backend: str) -> None:
    lab = build(Options(backend=backend))
    lab.hold(WANTED)
    lost = {name: retransmitted(lab, name) for name in ("p1a", "zt1", "zt2", "p2a")}
    with live(lab, "p1a", "10.96.0.80:80") as connection:
        for _ in range(8):
            for node in ("cpu1", "dpu1", "cpu2", "dpu2"):
                _load_again(lab, node)
                connection.exchange(b"still there")
        connection.end()
    assert {name: retransmitted(lab, name) for name in lost} == lost


@both
@pytest.mark.parametrize("name", CONNECTIONS)
def test_connections_of_a_pod_that_joins_live_on(lab: Lab, name: str) -> None:
    lab.hold(WITHOUT_P1A)
    with live(lab, *CONNECTIONS[name]) as connection:
        lab.hold(WANTED)
        connection.exchange(b"still there")
        connection.end()
    for case in (REMOTE, PLAIN_FAR, PLAIN_NEAR, PROBE):
        assert way_of(lab, case) == expected(lab, case), case


@v2
@pytest.mark.parametrize("name", CONNECTIONS)
def test_connections_of_a_pod_that_leaves_live_on(lab: Lab, name: str) -> None:
    """
    With a ztunnel that answers past the tunnels, that is: its connections tell their packets to come to it.

    One that marks its sockets is sent packets by what is known of the pod, and of that nothing is left.
    """
    with live(lab, *CONNECTIONS[name]) as connection:
        lab.hold(WITHOUT_P1A)
        connection.exchange(b"still there")
        connection.end()
    way = way_of(lab, PLAIN_FAR)
    assert (str(way.answer), way.proxies) == ("p1a sees 10.244.3.9", ())


@both
def test_connections_are_let_pass_that_were_there_before_and_not_the_proxys(lab: Lab) -> None:
    """A pod's joining marks its own connections, and those of others not at all."""
    lab.hold(WITHOUT_P1A)
    with live(lab, "p1a", "203.0.113.10"), live(lab, "p2n", "p1a"), live(lab, "p1b", "203.0.113.10"):
        lab.hold(WANTED)
        on_cpu, on_dpu = _marks(lab, "cpu1"), _marks(lab, "dpu1")
    let_pass, of_proxy = str(0x220), str(0x210)
    assert on_cpu["10.244.0.2", "203.0.113.10"] == let_pass
    assert on_dpu["10.244.3.9", "10.244.0.2"] == let_pass
    assert on_cpu["10.244.0.7", "203.0.113.10"] == of_proxy


@both
def test_a_pod_whose_address_is_anothers_by_now_keeps_its_place(lab: Lab) -> None:
    """A member is told by its UID: the address stays in the set all the time."""
    node = lab.topology.node("cpu1")
    program = WANTED.program(node)
    renamed = replace(
        program,
        sets=tuple(
            replace(each, members=frozenset((address, "uid-of-another") for address, _ in each.members))
            for each in program.sets
        ),
    )
    with live(lab, "p1a", "10.96.0.80:80") as connection:
        programmed(lab.kernel("cpu1"), renamed)
        connection.exchange(b"still there")
        connection.end()
    assert "uid-of-another" in lab.inside["cpu1"].run("ipset", "save", "ztunnel-pods-ips")
    assert ask(lab, REMOTE) == expected(lab, REMOTE).answer


def _load_again(lab: Lab, node: str) -> None:
    """Replace every chain by itself."""
    chains = WANTED.program(lab.topology.node(node)).chains
    tables = sorted({chain.table for chain in chains}, key=list(Table).index)
    steps = [
        RestoreTable(
            table,
            (
                f"*{table}",
                *(f":{chain.name} - [0:0]" for chain in chains if chain.table is table),
                *(line for chain in chains if chain.table is table for line in rule_lines(chain)),
                "COMMIT",
            ),
        )
        for table in tables
    ]
    asyncio.run(execute(lab.kernel(node), steps))


def _trouble(lab: Lab, node: str) -> tuple[int, int]:
    """Return how many packets were invalid to conntrack, and how many were cut to pieces."""
    per_core = lab.inside[node].run("conntrack", "-S").splitlines()
    counted = [dict(word.split("=") for word in line.split() if "=" in word) for line in per_core]
    lines = lab.inside[node].run("cat", "/proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Ip:"))
    return sum(int(each["invalid"]) for each in counted), int(
        dict(zip(names, values, strict=True))["FragOKs"]
    )


def _marks(lab: Lab, node: str) -> dict[tuple[str, str], str]:
    """Return the mark of each connection over TCP, by who opened it and to whom."""
    found = {}
    for line in lab.inside[node].run("conntrack", "-L", "-p", "tcp").splitlines():
        words: dict[str, str] = {}
        for word in line.split():
            name, _, value = word.partition("=")
            words.setdefault(name, value)
        found[words["src"], words["dst"]] = words["mark"]
    return found
