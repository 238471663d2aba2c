"""docs/datapath.md tells of every rule as it is, and its examples work."""

import re
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.datapath.nodes import CPU, DPU, NAMES, NODE_OF, without_ztunnel
from tests.datapath.program_listing import sections
from xds_server.datapath.inputs import MeshedPod, NodeInputs, WithoutZtunnel
from xds_server.datapath.inputs_file import parse_inputs, parse_names
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import plan
from xds_server.datapath.plan_text import changes_text
from xds_server.datapath.program import TunnelType
from xds_server.datapath.programs import PROGRAMS

TEXT = (Path(__file__).parents[2] / "docs" / "datapath.md").read_text()
TOLD = (
    ("cpu_node", replace(CPU, capture_dns=True)),
    ("cpu_node", without_ztunnel(CPU, WithoutZtunnel.BLOCK)),
    ("dpu_node", DPU),
    ("ztunnel_netns", DPU),
)


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(next(each for each in blocks if containing in each))


@pytest.mark.parametrize(("name", "inputs"), TOLD, ids=["cpu", "blocked", "dpu", "netns"])
def test_every_rule_is_told(name: str, inputs: NodeInputs) -> None:
    program = PROGRAMS[name](inputs, NAMES)
    rules = {" ".join(rule) for chain in program.chains for rule in chain.rules}
    assert {rule for rule in rules if f"`{rule}`" not in TEXT and f": `{rule}`" not in TEXT} == set()


@pytest.mark.parametrize(("name", "inputs"), TOLD, ids=["cpu", "blocked", "dpu", "netns"])
def test_every_ip_rule_and_route_is_told(name: str, inputs: NodeInputs) -> None:
    held = sections(PROGRAMS[name](inputs, NAMES))
    told = [lines for section, lines in held.items() if section == "rules" or section.startswith("table")]
    lines = [line for each in told for line in each]
    # One pod stands for all.
    assert [line for line in lines if f"{line}`" not in TEXT and "10.244.0.7" not in line] == []


def test_every_program_is_told() -> None:
    assert [name for name in PROGRAMS if name not in TEXT] == []


def test_every_device_of_a_tunnel_is_told_with_its_id_and_address() -> None:
    for link in PROGRAMS["dpu_node"](DPU, NAMES).links:
        assert f"`{link.name}`: id {link.vni}, {link.address}" in TEXT


def test_the_node_file_that_is_shown_can_be_used() -> None:
    text = block("yaml", "role: cpu")
    inputs = parse_inputs(text, "node.yaml")
    assert (inputs.peer, inputs.host_ip, inputs.devices) == (CPU.peer, CPU.host_ip, CPU.devices)
    assert parse_names(text, "node.yaml") == replace(NAMES, tunnel_type=TunnelType.VXLAN)
    shown = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    of_ipv6 = {"address_v6", "peer_v6"}
    assert shown | of_ipv6 == {*NODE_OF["cpu_node"].__dataclass_fields__, "names"}


def test_the_plan_that_is_shown_is_one() -> None:
    """A pod is gone and another has come."""
    before = PROGRAMS["cpu_node"](CPU, NAMES)
    pods = (CPU.pods[0], MeshedPod(address=ip_address("10.244.0.12"), uid="uid-12", device="veth12"))
    after = PROGRAMS["cpu_node"](replace(CPU, pods=pods), NAMES)
    observed = Observed(held=before, jumps=dict.fromkeys(before.jumps, (1,)))
    shown = block("console", "datapath plan").split("\n\n# commands")[0]
    assert changes_text(plan(observed, after)) == shown.partition("\n")[2]
