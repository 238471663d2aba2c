"""Whichever step of a plan fails, the node is left as it was, and what passes it does not notice."""

import asyncio
from dataclasses import replace

import pytest

from tests.datapath.real_kernels import FailsAt
from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import planned, programmed
from tests.helpers.lab.snapshot import others, snapshot, sysctls
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected
from tests.netns.cases import OUTBOUND
from tests.netns.conftest import Build
from tests.netns.lives import live
from xds_server.datapath.execute import StepError, apply, execute
from xds_server.datapath.plan import NOTHING
from xds_server.datapath.program import Program

REMOTE = OUTBOUND[0]
WANTED = Wanted()
FEWER = replace(WANTED, meshed=WANTED.meshed - {"p1b"}, capture_dns=True)
CHANGES = {
    "from nothing": (None, WANTED),
    "from fewer pods to more": (FEWER, WANTED),
    "from more pods to fewer": (WANTED, FEWER),
    "from the original": (replace(WANTED, edition="original"), WANTED),
    "to nothing": (WANTED, None),
}


def bare(lab: Lab) -> None:
    """Of these nodes each is looked at alone: what it holds is the test's."""


def labs(*backends: str) -> pytest.MarkDecorator:
    each = [pytest.param((Options(backend=backend), bare), id=backend) for backend in backends]
    return pytest.mark.parametrize("shared", each, indirect=True, scope="session")


@labs("nft", "legacy")
@pytest.mark.parametrize("node", ["cpu1", "dpu1"])
@pytest.mark.parametrize("change", CHANGES)
def test_whichever_step_fails_the_node_is_as_before(shared: Lab, node: str, change: str) -> None:
    before, after = (_program(wanted, node) for wanted in CHANGES[change])
    inside, kernel = shared.inside[node], shared.kernel(node)
    programmed(kernel, before)
    was, was_sysctls = snapshot(inside), sysctls(inside)
    steps = planned(kernel, after).steps
    assert steps

    for number in range(1, len(steps) + 1):
        with pytest.raises(StepError) as failed:
            asyncio.run(apply(kernel, steps, FailsAt(number)))
        assert failed.value.left == ()
        assert str(failed.value).startswith(f"step {number} of {len(steps)}, ")
        assert (snapshot(inside), sysctls(inside)) == (was, was_sysctls), number

    asyncio.run(apply(kernel, steps))
    assert others(snapshot(inside)) == others(was)
    assert planned(kernel, after).steps == ()


@labs("nft")
@pytest.mark.parametrize("node", ["cpu1", "dpu1"])
@pytest.mark.parametrize("change", CHANGES)
def test_who_is_killed_after_any_step_finds_the_rest_to_do(shared: Lab, node: str, change: str) -> None:
    before, after = (_program(wanted, node) for wanted in CHANGES[change])
    inside, kernel = shared.inside[node], shared.kernel(node)
    programmed(kernel, before)
    steps = planned(kernel, after).steps
    programmed(kernel, after)
    reached = snapshot(inside)

    for number in range(1, len(steps)):
        programmed(kernel, before)
        asyncio.run(execute(kernel, [each.step for each in planned(kernel, after).steps[:number]]))
        programmed(kernel, after)
        assert snapshot(inside) == reached, number


@pytest.mark.parametrize("node", ["cpu1", "dpu1"])
def test_a_live_connection_does_not_notice_that_a_step_fails(build: Build, node: str) -> None:
    lab = build(Options())
    lab.hold(FEWER)
    kernel = lab.kernel(node)
    steps = planned(kernel, _program(WANTED, node)).steps
    with live(lab, "p1a", "10.96.0.80:80") as connection:
        for number in range(1, len(steps) + 1):
            with pytest.raises(StepError):
                asyncio.run(apply(kernel, steps, FailsAt(number)))
            connection.exchange(b"still there")
            assert ask(lab, REMOTE) == expected(lab, REMOTE).answer
        connection.end()


def _program(wanted: Wanted | None, node: str) -> Program:
    return wanted.program(wanted.topology.node(node)) if wanted else NOTHING
