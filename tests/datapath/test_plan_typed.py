"""The commands that a plan prints are no picture of it: typed into a shell they do what the plan does."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.datapath.nodes import CPU, DPU
from tests.datapath.real_kernels import NOTHING, VXLAN_NAMES, content, dpu_node, hold, planned
from tests.helpers.scratch_node import UPLINK, VETH, ScratchNode, needs_root
from xds_server.datapath.inputs import NodeInputs, Ztunnel
from xds_server.datapath.kernel import Kernel
from xds_server.datapath.observe import observe
from xds_server.datapath.plan import Plan
from xds_server.datapath.plan_json import as_json
from xds_server.datapath.plan_text import as_text
from xds_server.datapath.programs import PROGRAMS

pytestmark = needs_root

MOVED = dpu_node(replace(DPU, ztunnel=Ztunnel(address=IPv4Address("10.244.1.9"), device=VETH)))


# conntrack calls it a failure if there is no connection to mark.
SHELL = """\
set -e
conntrack() { command conntrack "$@" || [ $? = 1 ]; }
"""


def type_in(node: ScratchNode, plan: Plan, kernel: Kernel) -> None:
    commands = as_text(plan, kernel.backend).partition("# commands\n")[2]
    node.run("bash", stdin=SHELL + commands)


def type_back(node: ScratchNode, plan: Plan, kernel: Kernel) -> None:
    for step in reversed(as_json(plan, kernel.backend)["steps"]):
        for command in step["undo"]:
            node.run(*command["argv"], stdin=command.get("stdin", ""))


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("cpu_node", CPU),
        ("cpu_node_tunnelled", CPU),
        ("dpu_node", DPU),
        ("dpu_node_original", DPU),
        ("pod_routes", DPU),
    ],
)
async def test_a_program_is_typed_in_and_away_again(
    node: ScratchNode, kernel: Kernel, name: str, inputs: NodeInputs
) -> None:
    for device in ("veth2", "veth7", "veth9"):
        node.ip(f"link add {device} type veth peer name {device}-pod")
    for address in (f"{CPU.address}/24", f"{CPU.host_ip}/32"):
        node.ip(f"address add {address} dev {UPLINK}")
    others = node.others(kernel.backend)
    program = PROGRAMS[name](inputs, VXLAN_NAMES)
    type_in(node, await planned(kernel, program), kernel)
    assert (await planned(kernel, program)).steps == ()
    type_in(node, await planned(kernel, NOTHING), kernel)
    assert (await planned(kernel, NOTHING)).steps == ()
    assert node.others(kernel.backend) == others


async def test_the_way_back_is_typed_as_well(node: ScratchNode, kernel: Kernel) -> None:
    """From a change that holds routes up while links are made again."""
    await hold(kernel, dpu_node())
    before = content(await observe(kernel, dpu_node()))
    change = await planned(kernel, MOVED)
    type_in(node, change, kernel)
    assert (await planned(kernel, MOVED)).steps == ()
    type_back(node, change, kernel)
    assert content(await observe(kernel, dpu_node())) == before
