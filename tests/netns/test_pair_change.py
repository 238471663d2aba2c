"""A CPU node gets another DPU: in the right order, and what was made before is not in the way."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import cleaned, programmed
from tests.helpers.lab.snapshot import others, ours, snapshot
from tests.helpers.lab.topology import TOPOLOGY, Node, Pod
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected, way_of
from tests.netns.cases import INBOUND, OUTBOUND, Case
from tests.netns.conftest import Build
from tests.netns.lives import live
from xds_server.datapath.inputs import Role
from xds_server.datapath.plan import NOTHING

SPARE = Node(
    name="dpu3",
    role=Role.DPU,
    address=IPv4Address("192.168.50.150"),
    pods=IPv4Network("10.244.5.0/24"),
    peer="cpu1",
    ztunnel="zt4",
)
BEFORE = replace(
    TOPOLOGY,
    nodes=(*TOPOLOGY.nodes, SPARE),
    pods=(*TOPOLOGY.pods, Pod(name="zt4", node="dpu3", address=IPv4Address("10.244.5.2"))),
)
AFTER = replace(
    BEFORE,
    nodes=tuple(
        replace(node, peer="dpu3", ztunnel="zt4") if node.name == "cpu1" else node for node in BEFORE.nodes
    ),
)
OLD = Wanted(topology=BEFORE, pod_routes=True)
NEW = Wanted(topology=AFTER, pod_routes=True, ztunnels=frozenset({"zt2", "zt3", "zt4"}))
OTHERS = ("cpu2", "dpu2", "one")

REMOTE, WORLD, PLAIN_FAR = OUTBOUND[0], OUTBOUND[8], INBOUND[0]


def by_the_new(case: Case) -> Case:
    """Return what is expected of a case when dpu3 is in the place of dpu1."""
    legs = {"dpu3" if node == "dpu1" else node: leg for node, leg in case.legs.items()}
    sees, proxies = (text.replace("zt1", "zt4").replace("dpu1", "dpu3") for text in (case.sees, case.proxies))
    return replace(case, legs=legs, sees=sees, proxies=proxies)


@pytest.fixture(params=["v2", "v1"])
def lab(build: Build, request: pytest.FixtureRequest) -> Lab:
    made = build(Options(flavour=request.param, pod_routes=False), BEFORE)
    made.hold(OLD, ("cpu1", "dpu1", *OTHERS))
    return made


def test_what_a_pod_opens_passes_at_every_stage(lab: Lab) -> None:
    untouched = others(snapshot(lab.inside["dpu1"]))
    assert way_of(lab, WORLD) == expected(lab, WORLD)

    lab.hold(NEW, ("dpu3",))
    assert way_of(lab, WORLD) == expected(lab, WORLD)

    lab.hold(NEW, ("cpu1",))
    assert ask(lab, WORLD) == expected(lab, by_the_new(WORLD)).answer

    lab.hold(NEW, OTHERS)
    for case in (REMOTE, WORLD, PLAIN_FAR):
        assert way_of(lab, by_the_new(case)) == expected(lab, by_the_new(case)), case

    cleaned(lab.kernel("dpu1"), NOTHING)
    assert ours(snapshot(lab.inside["dpu1"])) == ()
    assert others(snapshot(lab.inside["dpu1"])) == untouched
    for case in (REMOTE, WORLD, PLAIN_FAR):
        assert way_of(lab, by_the_new(case)) == expected(lab, by_the_new(case)), case


def test_the_way_back_is_the_same_way(lab: Lab) -> None:
    for wanted, case in ((NEW, by_the_new(REMOTE)), (OLD, REMOTE)):
        lab.hold(wanted, ("dpu1" if wanted is OLD else "dpu3", "cpu1", *OTHERS))
        assert way_of(lab, case) == expected(lab, case)


def test_both_ztunnels_are_left_by_a_change_of_the_cpu_alone(lab: Lab) -> None:
    """Every table of the CPU node that led to the old DPU leads to the new one at once."""
    programmed(lab.kernel("cpu1"), NEW.program(AFTER.node("cpu1")))
    routes = lab.inside["cpu1"].run("ip", "route", "show", "table", "all", "proto", "76")
    assert "192.168.50.150" in routes
    assert "192.168.50.131" not in routes


@pytest.mark.parametrize(("client", "to"), [("p1a", "203.0.113.10"), ("p1a", "p2a"), ("p2n", "p1a")])
def test_connections_that_the_old_ztunnel_carried_end_at_once(lab: Lab, client: str, to: str) -> None:
    """They live in it; what is left of them is told so by the new one, and nobody waits for an answer."""
    with live(lab, client, to) as connection:
        for nodes in (("dpu3",), ("cpu1",), OTHERS):
            lab.hold(NEW, nodes)
        with pytest.raises(ConnectionResetError):
            connection.exchange(b"still there?")
