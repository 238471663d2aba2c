"""Nothing of ours is left behind, and nobody is left without a network."""

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import cleaned, planned
from tests.helpers.lab.snapshot import others, ours, snapshot
from tests.helpers.lab.traffic import NOBODY, SHORT_PATIENCE
from tests.helpers.lab.wanted import EDITIONS, Wanted
from tests.netns.asking import ask, expected, way_of
from tests.netns.cases import INBOUND, OUTBOUND, Case
from tests.netns.conftest import Build
from xds_server.datapath.plan import NOTHING

REMOTE, SERVICE, PLAIN = OUTBOUND[0], OUTBOUND[2], INBOUND[0]


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("edition", EDITIONS)
def test_nothing_is_left_and_others_are_as_they_were(build: Build, backend: str, edition: str) -> None:
    lab = build(Options(backend=backend))
    nodes = [node.name for node in lab.topology.nodes]
    before = {name: snapshot(lab.inside[name]) for name in nodes}
    lab.hold(Wanted(edition=edition))
    for name in nodes:
        assert ours(snapshot(lab.inside[name]))
        assert others(snapshot(lab.inside[name])) == others(before[name])

    for name in nodes:
        assert cleaned(lab.kernel(name), NOTHING).steps

    for name in nodes:
        assert snapshot(lab.inside[name]) == before[name]
        assert cleaned(lab.kernel(name), NOTHING).steps == ()


def test_what_was_cleaned_goes_direct_and_can_be_programmed_again(build: Build) -> None:
    lab = build(Options())
    lab.hold(Wanted())
    for node in ("dpu1", "dpu2", "cpu1", "cpu2"):
        cleaned(lab.kernel(node), NOTHING)
    for case in (REMOTE, SERVICE, PLAIN):
        assert _is_direct(lab, case)

    lab.hold(Wanted())
    for case in (REMOTE, SERVICE, PLAIN):
        assert way_of(lab, case) == expected(lab, case)


def test_pods_of_a_dead_ztunnel_are_cut_off_until_both_nodes_are_clean(build: Build) -> None:
    lab = build(Options())
    lab.hold(Wanted())
    lab.stop_ztunnel("zt1")
    assert ask(lab, REMOTE, SHORT_PATIENCE) == NOBODY
    cleaned(lab.kernel("cpu1"), NOTHING)
    assert ask(lab, REMOTE, SHORT_PATIENCE) == NOBODY
    cleaned(lab.kernel("dpu1"), NOTHING)
    assert _answers_plainly(lab, REMOTE)


def test_what_is_held_needs_nothing_more_however_often_it_is_asked_for(build: Build) -> None:
    lab = build(Options(pod_routes=False))
    wanted = Wanted(pod_routes=True)
    lab.hold(wanted)
    before = {node.name: snapshot(lab.inside[node.name]) for node in lab.topology.nodes}
    for _ in range(3):
        for node in lab.topology.nodes:
            assert planned(lab.kernel(node.name), wanted.program(node)).steps == ()
        lab.hold(wanted)
    assert {node.name: snapshot(lab.inside[node.name]) for node in lab.topology.nodes} == before


def _is_direct(lab: Lab, case: Case) -> bool:
    way = way_of(lab, case)
    return way.answer.server == case.server and not way.proxies and way.answer.seen != ""


def _answers_plainly(lab: Lab, case: Case) -> bool:
    """Tell whether the server answers and sees the client itself; the server's own ztunnel may take part."""
    answer = ask(lab, case)
    return (answer.server, answer.seen) == (case.server, str(lab.topology.pod(case.client).address))
