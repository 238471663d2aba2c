"""A plan carried out on a real kernel, as a whole or not at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.datapath.nodes import DPU
from tests.datapath.real_kernels import NOTHING, FailsAt, content, dpu_node, hold, planned
from tests.datapath.step_cases import CREATE, SETTING
from tests.helpers.scratch_node import UPLINK, VETH, ScratchNode, needs_root
from xds_server.datapath.carry_out import carry_out
from xds_server.datapath.execute import StepError, apply, execute
from xds_server.datapath.inputs import MeshedPod, Ztunnel
from xds_server.datapath.kernel import Kernel, Place, Ran, run
from xds_server.datapath.observe import observe
from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.program import PolicyRule, Sysctl
from xds_server.datapath.steps import AddRule, DeleteRule, RestoreSets, SetSysctl, Step
from xds_server.exceptions import KernelError

pytestmark = needs_root

OTHER_NODE = replace(
    DPU,
    pods=tuple(MeshedPod(address=IPv4Address(f"10.244.0.{last}"), uid=f"uid-{last}") for last in (2, 8, 9)),
    ztunnel=Ztunnel(address=IPv4Address("10.244.1.3"), device=VETH),
    capture_dns=True,
)
CHANGES = {
    "from nothing to a program": (NOTHING, dpu_node()),
    "from a program to another": (dpu_node(), dpu_node(OTHER_NODE)),
    "from a program to nothing": (dpu_node(), NOTHING),
}
RULE = PolicyRule(priority=101, table=101)


@pytest.mark.parametrize("name", CHANGES)
async def test_a_plan_that_is_carried_out_leaves_nothing_to_do_and_others_alone(
    name: str, node: ScratchNode, kernel: Kernel
) -> None:
    others = node.others(kernel.backend)
    for program in CHANGES[name]:
        await hold(kernel, program)
        observed = await observe(kernel, program)
        assert observed.clashes == ()
        assert content(observed)["routes"] == set(program.routes)
        assert (await planned(kernel, program)).steps == ()
        assert node.others(kernel.backend) == others
    await hold(kernel, NOTHING)
    assert "ztunnel" not in node.everything(kernel.backend)


@pytest.mark.parametrize("name", CHANGES)
async def test_whichever_step_fails_all_is_as_it_was(name: str, node: ScratchNode, kernel: Kernel) -> None:
    before, after = CHANGES[name]
    await hold(kernel, before)
    steps = (await planned(kernel, after)).steps
    asked = replace(before, sysctls=before.sysctls + after.sysctls)
    was, others = content(await observe(kernel, asked)), node.others(kernel.backend)
    for number, each in enumerate(steps, 1):
        fails = FailsAt(number)
        told = rf"^step {number} of {len(steps)}, .*: refused; all is put back as it was$"
        with pytest.raises(StepError, match=told):
            await apply(kernel, steps, fails)
        assert fails.asked[:number] == [every.step for every in steps[:number]]
        assert fails.asked[number - 1] == each.step
        assert content(await observe(kernel, asked)) == was
        assert node.others(kernel.backend) == others


@pytest.mark.parametrize("tool", ["restore", "ipset"])
async def test_whichever_run_of_a_tool_fails_all_is_as_it_was(
    tool: str, node: ScratchNode, kernel: Kernel
) -> None:
    steps = (await planned(kernel, dpu_node())).steps
    was = content(await observe(kernel, NOTHING))

    def dies(argv: Sequence[str], stdin: str) -> Ran:
        if argv[0] == "ipset":
            run(argv, stdin)
        return Ran(tuple(argv), 4, "", "killed") if argv[0].endswith(tool) else run(argv, stdin)

    with pytest.raises(StepError, match=r"exit code 4: killed; "):
        await apply(replace(kernel, run=dies), steps)
    held = content(await observe(kernel, NOTHING))
    # The way back of a set is by the tool that is dead.
    assert {**held, "sets": None} == {**was, "sets": None}


async def test_a_restore_of_sets_that_stopped_at_a_line_is_undone(kernel: Kernel) -> None:
    lines = (CREATE, "add ztunnel-pods-ips 10.244.0.2", "add nowhere 10.244.0.7")
    step = PlannedStep(RestoreSets(lines), (RestoreSets(("destroy ztunnel-pods-ips",)),))
    told = r"^step 1 of 1, ipset: .*: add nowhere 10\.244\.0\.7; all is put back as it was$"
    with pytest.raises(StepError, match=told):
        await apply(kernel, [step])
    assert (await observe(kernel, NOTHING)).held.sets == ()


async def test_what_cannot_be_put_back_is_told_and_the_rest_is_put_back(kernel: Kernel) -> None:
    first = PlannedStep(AddRule(RULE), (DeleteRule(RULE),))
    gone = SetSysctl(Sysctl("net/ipv4/conf/gone/rp_filter", "1"))
    second = PlannedStep(SetSysctl(SETTING), (gone,))
    with pytest.raises(StepError) as failed:
        await apply(kernel, [first, second, PlannedStep(AddRule(RULE))])
    path = "/proc/sys/net/ipv4/conf/gone/rp_filter"
    left = f"step 1 of 2, sysctl -w {gone.sysctl.path}=1 of the way back: {path}: No such file or directory"
    assert failed.value.left == (left,)
    assert str(failed.value).startswith(
        "step 3 of 3, ip rule add priority 101 lookup 101 protocol 76: File exists"
    )
    assert str(failed.value).endswith(f"; what was done before could not all be put back: {left}")
    assert (await observe(kernel, NOTHING)).held.rules == ()


async def test_who_is_cancelled_is_so_when_the_plan_is_carried_out(kernel: Kernel) -> None:
    steps = (await planned(kernel, dpu_node())).steps
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    def tells(place: Place, step: Step) -> None:
        loop.call_soon_threadsafe(begun.set)
        carry_out(place, step)

    applying = asyncio.create_task(apply(kernel, steps, tells))
    await begun.wait()
    applying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await applying
    assert (await planned(kernel, dpu_node())).steps == ()


async def test_steps_alone_are_carried_out_up_to_the_one_that_fails(kernel: Kernel) -> None:
    steps: list[Step] = [AddRule(RULE), AddRule(RULE), SetSysctl(Sysctl(SETTING.path, "1"))]
    with pytest.raises(StepError, match=r"^step 2 of 3, .*: File exists[^;]*$"):
        await execute(kernel, steps)
    observed = await observe(kernel, replace(NOTHING, sysctls=(SETTING,)))
    assert observed.held.rules == (RULE,)
    assert observed.held.sysctls != (Sysctl(SETTING.path, "1"),)


async def test_nothing_is_carried_out_where_there_is_no_namespace(node: ScratchNode, kernel: Kernel) -> None:
    others = node.everything(kernel.backend)
    gone = f"{node.name}-gone"
    with pytest.raises(KernelError, match=f"^network namespace '{gone}': /run/netns/{gone}: No such file"):
        await execute(replace(kernel, netns=gone), [AddRule(RULE)])
    assert node.everything(kernel.backend) == others
    assert UPLINK in others
