"""What is true of every plan, from whatever a kernel holds to whatever it shall hold."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.datapath.model_kernel import ModelKernel
from tests.datapath.plan_worlds import kernels, programs
from xds_server.datapath.plan import NOTHING, plan, removal
from xds_server.datapath.plan_tables import wanted_positions
from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.program import Program
from xds_server.datapath.steps import RestoreSets, SetSysctl

law = settings(max_examples=100, deadline=None)
kernels_held = programs().flatmap(kernels)
kernels_in_use = programs().map(lambda program: ModelKernel.holding(program, wanted_positions(program)))


def do_all(kernel: ModelKernel, steps: tuple[PlannedStep, ...]) -> None:
    for planned in steps:
        kernel.do(planned.step)


def undo_all(kernel: ModelKernel, steps: tuple[PlannedStep, ...]) -> None:
    for planned in reversed(steps):
        for step in planned.undo:
            kernel.do(step)


def as_wanted(program: Program) -> dict[str, Any]:
    return ModelKernel.holding(program, wanted_positions(program)).content(program)


@law
@given(kernels_held, programs())
def test_after_a_plan_the_kernel_holds_what_is_wanted_and_all_of_others(
    kernel: ModelKernel, wanted: Program
) -> None:
    do_all(kernel, plan(kernel.observe(wanted), wanted).steps)
    assert kernel.content(wanted) == as_wanted(wanted)


@law
@given(programs())
def test_a_plan_for_what_is_there_is_empty(program: Program) -> None:
    kernel = ModelKernel.holding(program, wanted_positions(program))
    made = plan(kernel.observe(program), program)
    assert (made.steps, made.changes) == ((), ())


@law
@given(kernels_held, programs())
def test_changes_are_told_exactly_when_there_are_steps(kernel: ModelKernel, wanted: Program) -> None:
    made = plan(kernel.observe(wanted), wanted)
    assert bool(made.changes) == bool(made.steps)


@law
@given(kernels_held, programs())
def test_a_plan_is_done_by_doing_it_once(kernel: ModelKernel, wanted: Program) -> None:
    do_all(kernel, plan(kernel.observe(wanted), wanted).steps)
    assert plan(kernel.observe(wanted), wanted).steps == ()


@law
@given(kernels_held, programs())
def test_no_step_is_in_vain(kernel: ModelKernel, wanted: Program) -> None:
    """Each changes something; but what the sysctls of a link are that is yet to be made, nobody knows."""
    for planned in plan(kernel.observe(wanted), wanted).steps:
        before = kernel.copy()
        kernel.do(planned.step)
        assert kernel != before or (isinstance(planned.step, SetSysctl) and not planned.step.before)


@law
@given(kernels_in_use, programs())
def test_after_no_step_there_is_a_mark_that_leads_nowhere(kernel: ModelKernel, wanted: Program) -> None:
    assert kernel.loose_ends() == []
    for planned in plan(kernel.observe(wanted), wanted).steps:
        kernel.do(planned.step)
        assert kernel.loose_ends() == [], planned.step


@law
@given(kernels_held, programs())
def test_no_step_and_no_undo_changes_anything_of_others(kernel: ModelKernel, wanted: Program) -> None:
    others = kernel.tables.others()
    steps = plan(kernel.observe(wanted), wanted).steps
    for planned in steps:
        kernel.do(planned.step)
        assert kernel.tables.others() == others
    for planned in reversed(steps):
        for step in planned.undo:
            kernel.do(step)
            assert kernel.tables.others() == others


@law
@given(kernels_held, programs(), st.data())
def test_undoing_the_steps_done_before_one_fails_gives_back_what_was(
    kernel: ModelKernel, wanted: Program, data: st.DataObject
) -> None:
    before = kernel.content(wanted)
    steps = plan(kernel.observe(wanted), wanted).steps
    done = steps[: data.draw(st.integers(0, len(steps)))]
    do_all(kernel, done)
    undo_all(kernel, done)
    assert kernel.content(wanted) == before


@law
@given(kernels_held, programs(), st.data())
def test_a_restore_of_sets_that_stops_at_any_line_is_undone_with_those_before(
    kernel: ModelKernel, wanted: Program, data: st.DataObject
) -> None:
    before = kernel.content(wanted)
    steps = plan(kernel.observe(wanted), wanted).steps
    restores = [place for place, planned in enumerate(steps) if isinstance(planned.step, RestoreSets)]
    for failing in restores:
        stopped = steps[failing].step
        assert isinstance(stopped, RestoreSets)
        do_all(kernel, steps[:failing])
        kernel.do(stopped, lines=data.draw(st.integers(1, len(stopped.lines))))
        undo_all(kernel, steps[: failing + 1])
        assert kernel.content(wanted) == before


@law
@given(kernels_held, programs(), st.data())
def test_a_maker_that_died_at_any_step_is_followed_by_one_that_ends_the_work(
    kernel: ModelKernel, wanted: Program, data: st.DataObject
) -> None:
    steps = plan(kernel.observe(wanted), wanted).steps
    do_all(kernel, steps[: data.draw(st.integers(0, len(steps)))])
    do_all(kernel, plan(kernel.observe(wanted), wanted).steps)
    assert kernel.content(wanted) == as_wanted(wanted)


@law
@given(kernels_held)
def test_a_removal_leaves_nothing_of_ours_but_sysctls_and_twice_is_nothing(kernel: ModelKernel) -> None:
    devices, sysctls = set(kernel.links), dict(kernel.sysctls)
    do_all(kernel, removal(kernel.observe(NOTHING)).steps)
    assert kernel.content(NOTHING) == as_wanted(NOTHING)
    stay = {path: value for path, value in sysctls.items() if not set(path.split("/")) & devices}
    assert kernel.sysctls == stay
    assert removal(kernel.observe(NOTHING)).steps == ()


@law
@given(kernels_in_use)
def test_at_no_step_of_a_removal_is_there_a_mark_that_leads_nowhere(kernel: ModelKernel) -> None:
    for planned in removal(kernel.observe(NOTHING)).steps:
        kernel.do(planned.step)
        assert kernel.loose_ends() == [], planned.step
