"""The commands that a plan prints are no picture of it: typed into a shell they do what the plan does."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.datapath.node_namespaces import BACKENDS, LACKING, NodeNamespace, node_namespace
from tests.datapath.nodes import CPU, DPU, NAMES
from xds_server.datapath.inputs import NodeInputs, Ztunnel
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import NOTHING, Plan, plan, removal
from xds_server.datapath.plan_json import as_json
from xds_server.datapath.plan_tables import wanted_positions
from xds_server.datapath.plan_text import as_text
from xds_server.datapath.program import Program, TunnelType
from xds_server.datapath.programs import PROGRAMS

VXLAN = replace(NAMES, tunnel_type=TunnelType.VXLAN)
MOVED = replace(DPU, ztunnel=Ztunnel(address=IPv4Address("10.244.1.9"), device="veth1ae58883"))

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)}")


@pytest.fixture
def node() -> Iterator[NodeNamespace]:
    with node_namespace("typed") as node:
        yield node


def type_in(node: NodeNamespace, plan: Plan, backend: str) -> None:
    node.run("bash", stdin=as_text(plan, backend).partition("# commands\n")[2])


def type_back(node: NodeNamespace, plan: Plan, backend: str) -> None:
    for step in reversed(as_json(plan, backend)["steps"]):
        for command in step["undo"]:
            node.run(*command["argv"], stdin=command.get("stdin", ""))


def holding(program: Program) -> Observed:
    return Observed(held=replace(program, sysctls=()), jumps=wanted_positions(program))


@pytest.mark.parametrize("backend", BACKENDS)
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
def test_a_program_is_typed_in_and_away_again(
    node: NodeNamespace, backend: str, name: str, inputs: NodeInputs
) -> None:
    program = PROGRAMS[name](inputs, VXLAN)
    before = node.state(backend)
    type_in(node, plan(Observed(held=NOTHING), program), backend)
    assert node.state(backend) != before
    type_in(node, removal(holding(program)), backend)
    assert node.state(backend) == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_when_ztunnel_moves_its_links_are_made_again_and_the_way_back_is_typed_as_well(
    node: NodeNamespace, backend: str
) -> None:
    program, moved = (PROGRAMS["dpu_node"](inputs, VXLAN) for inputs in (DPU, MOVED))
    type_in(node, plan(Observed(held=NOTHING), program), backend)
    before = node.state(backend)
    change = plan(holding(program), moved)
    type_in(node, change, backend)
    there = node.state(backend)
    assert "10.244.1.9" in there["tables"]
    assert "10.244.1.2 " not in there["routes"]
    assert "blackhole" not in there["routes"]
    type_back(node, change, backend)
    assert node.state(backend) == before
