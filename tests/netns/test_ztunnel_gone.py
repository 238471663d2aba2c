"""While no ztunnel runs for a pair its pods go on in plain or are blocked; once it runs again it has them."""

from dataclasses import replace

import pytest

from tests.helpers.lab import wiring
from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import programmed
from tests.helpers.lab.traffic import NOBODY, SHORT_PATIENCE
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected, way_of
from tests.netns.cases import INBOUND, OUTBOUND, Case
from tests.netns.cases_around import DATAGRAMS, ECHOES
from tests.netns.cases_hosts import FROM_HOSTS
from tests.netns.conftest import Build
from tests.netns.lives import live
from xds_server.datapath.inputs import WithoutZtunnel

REMOTE, LOCAL, WORLD = OUTBOUND[0], OUTBOUND[3], OUTBOUND[8]
PLAIN_FAR, PLAIN_NEAR = INBOUND[0], INBOUND[1]
PROBE = FROM_HOSTS[0]
WANTED = Wanted()
BLOCKED = replace(WANTED, when_ztunnel_is_gone=WithoutZtunnel.BLOCK)


def prepared(lab: Lab) -> None:
    lab.hold(WANTED)


both = pytest.mark.parametrize(
    "shared",
    [pytest.param((Options(flavour=flavour), prepared), id=flavour) for flavour in ("v2", "v1")],
    indirect=True,
    scope="session",
)


@pytest.fixture
def lab(shared: Lab) -> Lab:
    shared.forget_connections()
    shared.hold(WANTED)
    return shared


def stop(lab: Lab, wanted: Wanted) -> Wanted:
    """Let the first pair's ztunnel end, and its nodes learn of it."""
    lab.stop_ztunnel("zt1")
    without = replace(wanted, ztunnels=wanted.ztunnels - {"zt1"})
    lab.hold(without, ("dpu1", "cpu1"))
    return without


@both
def test_pods_go_on_in_plain(lab: Lab) -> None:
    # The other ztunnel is not told that they are no longer to be reached by HBONE: that is the catalogue's.
    stop(lab, replace(WANTED, meshed=WANTED.meshed - {"p1a", "p1b"}))
    for case in (LOCAL, WORLD, PLAIN_FAR, PLAIN_NEAR, PROBE, *DATAGRAMS, *ECHOES):
        way = way_of(lab, case)
        assert (way.answer.server, way.proxies) == (case.server, ()), case
    assert ask(lab, PLAIN_FAR).seen == "10.244.3.9"


@both
def test_pods_are_blocked_if_that_is_the_policy(lab: Lab) -> None:
    stop(lab, BLOCKED)
    for case in (REMOTE, LOCAL, WORLD, PLAIN_FAR, PLAIN_NEAR):
        assert ask(lab, case, SHORT_PATIENCE) == NOBODY, case
    for case in (PROBE, *DATAGRAMS, *ECHOES):
        assert ask(lab, case) == expected(lab, case).answer, case


@both
@pytest.mark.parametrize("wanted", [WANTED, BLOCKED], ids=["plain", "blocked"])
def test_a_ztunnel_that_comes_back_takes_new_connections(lab: Lab, wanted: Wanted) -> None:
    stop(lab, wanted)
    lab.hold(wanted)
    for case in (REMOTE, LOCAL, WORLD, PLAIN_FAR, PLAIN_NEAR, PROBE):
        assert way_of(lab, case) == expected(lab, case), case


@both
def test_connections_made_in_plain_live_on_when_it_comes_back(lab: Lab) -> None:
    stop(lab, WANTED)
    with live(lab, "p1a", "203.0.113.10") as to_world, live(lab, "p2n", "p1a") as from_far:
        lab.hold(WANTED)
        for connection in (to_world, from_far):
            connection.exchange(b"still there")
            connection.end()
    assert way_of(lab, WORLD) == expected(lab, WORLD)


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("case", [REMOTE, PLAIN_FAR], ids=str)
def test_a_ztunnel_with_another_address_is_reached_by_it(build: Build, backend: str, case: Case) -> None:
    """The tunnels to it are made anew."""
    made = build(Options(backend=backend))
    made.hold(WANTED)
    made.stop_ztunnel("zt1")
    moved = replace(WANTED, topology=WANTED.topology.with_pod_at("zt1", "10.244.1.77"))
    node = moved.topology.node("dpu1")
    made.inside["zt1"].ip(("address flush dev eth0", *wiring.pod(moved.topology, moved.topology.pod("zt1"))))
    made.inside["dpu1"].ip(("route add 10.244.1.77 dev vethzt1 scope host", "route delete 10.244.1.2"))
    programmed(made.kernel("dpu1"), moved.program(node))
    made.hold(moved)
    way, wanted = way_of(made, case), expected(made, case)
    assert (way.proxies, way.hits, way.answer.server) == (wanted.proxies, wanted.hits, case.server)
