"""A real kernel, seen through the datapath."""

from dataclasses import replace
from typing import Any

from tests.datapath.nodes import DPU, NAMES
from xds_server.datapath.carry_out import carry_out
from xds_server.datapath.execute import apply
from xds_server.datapath.inputs import NodeInputs
from xds_server.datapath.kernel import Kernel, Place
from xds_server.datapath.observe import observe
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import Plan, plan
from xds_server.datapath.program import Program, TunnelType
from xds_server.datapath.programs import PROGRAMS
from xds_server.datapath.steps import Step
from xds_server.exceptions import KernelError

VXLAN_NAMES = replace(NAMES, tunnel_type=TunnelType.VXLAN)
"""A kernel that has no geneve has vxlan."""
NOTHING = Program(name="nothing")


def dpu_node(inputs: NodeInputs = DPU) -> Program:
    return PROGRAMS["dpu_node"](inputs, VXLAN_NAMES)


def content(observed: Observed) -> dict[str, Any]:
    """Return what is observed of ours, in no order."""
    held = observed.held
    kinds = ("links", "sysctls", "sets", "chains", "rules", "routes")
    return {kind: set(getattr(held, kind)) for kind in kinds} | {"jumps": dict(observed.jumps)}


async def planned(kernel: Kernel, program: Program) -> Plan:
    return plan(await observe(kernel, program, VXLAN_NAMES), program, VXLAN_NAMES)


async def hold(kernel: Kernel, program: Program) -> None:
    await apply(kernel, (await planned(kernel, program)).steps)


class FailsAt:
    """Carries out what it is asked for, but for one step: that it refuses."""

    def __init__(self, number: int) -> None:
        self.asked: list[Step] = []
        self._number = number

    def __call__(self, place: Place, step: Step) -> None:
        self.asked.append(step)
        if len(self.asked) == self._number:
            raise KernelError("refused")
        carry_out(place, step)
