"""Plans between the programs that nodes get: what is true of all plans is true of these."""

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import permutations

import pytest

from tests.datapath.model_kernel import ModelKernel
from tests.datapath.nodes import CPU, DPU, NAMES, SINGLE, without_ztunnel
from xds_server.datapath.inputs import NodeInputs, WithoutZtunnel, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.plan import NOTHING, plan, removal
from xds_server.datapath.plan_tables import wanted_positions
from xds_server.datapath.program import Program, TunnelType
from xds_server.datapath.programs import PROGRAMS
from xds_server.datapath.programs.combine import combine

MOVED = replace(DPU, ztunnel=Ztunnel(address=IPv4Address("10.244.1.9"), device="vethzt1"))
PLAIN, BLOCKED = (without_ztunnel(DPU, policy) for policy in WithoutZtunnel)


def made(name: str, inputs: NodeInputs, names: Names = NAMES) -> Program:
    return PROGRAMS[name](inputs, names)


ON_A_DPU = {
    "dpu_node": made("dpu_node", DPU),
    "by vxlan": made("dpu_node", DPU, replace(NAMES, tunnel_type=TunnelType.VXLAN)),
    "ztunnel moved": made("dpu_node", MOVED),
    "in plain": made("dpu_node", PLAIN),
    "blocked": made("dpu_node", BLOCKED),
    "original": made("dpu_node_original", DPU),
    "tunnelled": made("dpu_node_tunnelled", DPU),
    "nothing": NOTHING,
}
ON_A_CPU = {
    "cpu_node": made("cpu_node", CPU),
    "no pods": made("cpu_node", replace(CPU, pods=())),
    "blocked": made("cpu_node", without_ztunnel(CPU, WithoutZtunnel.BLOCK)),
    "original": made("cpu_node_original", CPU),
    "tunnelled": made("cpu_node_tunnelled", CPU),
    "nothing": NOTHING,
}
ON_A_SINGLE = {
    "ambient_node": made("ambient_node", SINGLE),
    "original": made("ambient_node_original", SINGLE),
    "with routes": combine(made("ambient_node", SINGLE), made("pod_routes", SINGLE)),
    "nothing": NOTHING,
}
IN_THE_POD = {"ztunnel_netns": made("ztunnel_netns", DPU), "nothing": NOTHING}
NODES = {"dpu": ON_A_DPU, "cpu": ON_A_CPU, "single": ON_A_SINGLE, "pod": IN_THE_POD}
CHANGES = [
    pytest.param(programs[held], programs[wanted], id=f"{where}: {held} to {wanted}")
    for where, programs in NODES.items()
    for held, wanted in permutations(programs, 2)
]


@pytest.mark.parametrize(("held", "wanted"), CHANGES)
def test_from_any_program_of_a_node_to_any_other_and_back(held: Program, wanted: Program) -> None:
    kernel = ModelKernel.holding(held, wanted_positions(held))
    before = kernel.content(wanted)
    steps = plan(kernel.observe(wanted), wanted).steps
    for planned in steps:
        kernel.do(planned.step)
        assert kernel.loose_ends() == [], planned.step
    assert kernel.content(wanted) == ModelKernel.holding(wanted, wanted_positions(wanted)).content(wanted)
    assert plan(kernel.observe(wanted), wanted).steps == ()
    for planned in reversed(steps):
        for step in planned.undo:
            kernel.do(step)
    assert kernel.content(wanted) == before


@pytest.mark.parametrize("program", [each for programs in NODES.values() for each in programs.values()])
def test_of_no_program_anything_stays_when_it_is_removed(program: Program) -> None:
    kernel = ModelKernel.holding(program, wanted_positions(program))
    for planned in removal(kernel.observe(NOTHING)).steps:
        kernel.do(planned.step)
    assert kernel.content(NOTHING) == ModelKernel().content(NOTHING)


def test_while_ztunnel_is_gone_a_pod_that_is_to_be_blocked_is_so_before_its_way_is_taken_away() -> None:
    kernel = ModelKernel.holding(ON_A_DPU["dpu_node"], wanted_positions(ON_A_DPU["dpu_node"]))
    steps = plan(kernel.observe(ON_A_DPU["blocked"]), ON_A_DPU["blocked"]).steps
    first, second, *_ = [planned.step for planned in steps]
    assert any("DROP" in line for line in getattr(first, "lines", ()))
    assert "-D PREROUTING -j ztunnel-PREROUTING" in getattr(second, "lines", ())
