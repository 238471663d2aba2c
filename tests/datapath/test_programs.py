"""Programs as tables: a node's inputs to the exact listing."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest

from tests.datapath.nodes import CPU, DPU, NODE_OF, NODES, SINGLE, without_ztunnel
from tests.datapath.program_listing import listing, sections
from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Role, WithoutZtunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program, TunnelType
from xds_server.datapath.programs import DEFAULT_PROGRAMS, PROGRAMS
from xds_server.datapath.programs.combine import combine
from xds_server.exceptions import InputError

EXPECTED = Path(__file__).parent / "expected"
NAMES = Names()

DNS = "-p udp -m set --match-set ztunnel-pods-ips src -m udp --dport 53 -j DNAT --to-destination"
BY_PROXY = "-A ztunnel-FORWARD -p tcp -m connmark ! --mark 0x220/0x220 -m set --match-set ztunnel-pods-ips"
BLOCKED = ["-A FORWARD -j ztunnel-FORWARD", f"{BY_PROXY} src -j DROP", f"{BY_PROXY} dst -j DROP"]
TRANSIT = "-A ztunnel-FORWARD -i ens32 -o ens32 -j ACCEPT"
OF_A_NODE = sorted(set(PROGRAMS) - {"ztunnel_netns", "pod_routes"})


def made(name: str, inputs: NodeInputs | None = None, names: Names = NAMES) -> dict[str, list[str]]:
    return sections(PROGRAMS[name](inputs or NODE_OF[name], names))


def added(before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, list[str]]:
    more = {key: [line for line in lines if line not in before.get(key, [])] for key, lines in after.items()}
    return {key: lines for key, lines in more.items() if lines}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_exactly_what_its_listing_says(name: str) -> None:
    program = PROGRAMS[name](NODE_OF[name], NAMES)
    assert program.name == name
    assert listing(program) == (EXPECTED / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_two_members_of_a_kind_have_one_key(name: str) -> None:
    program = PROGRAMS[name](NODE_OF[name], NAMES)
    for keys in _keys(program):
        assert len(keys) == len(set(keys))


def _keys(program: Program) -> Iterator[list[object]]:
    yield [link.name for link in program.links]
    yield [sysctl.path for sysctl in program.sysctls]
    yield [(chain.table, chain.name) for chain in program.chains]
    yield list(program.jumps)
    yield [rule.priority for rule in program.rules]
    yield [route.key for route in program.routes]


@pytest.mark.parametrize("name", OF_A_NODE)
def test_every_chain_has_the_one_jump_that_leads_to_it(name: str) -> None:
    program = PROGRAMS[name](NODE_OF[name], NAMES)
    led_to = [(jump.table, jump.chain) for jump in program.jumps]
    assert led_to == [(chain.table, chain.name) for chain in program.chains]
    assert {f"ztunnel-{jump.builtin}" == jump.chain for jump in program.jumps} == {True}


@pytest.mark.parametrize("name", OF_A_NODE)
def test_pods_come_in_the_order_of_their_addresses(name: str) -> None:
    inputs = NODE_OF[name]
    assert made(name, replace(inputs, pods=inputs.pods[::-1])) == made(name, inputs)


@pytest.mark.parametrize("name", OF_A_NODE)
def test_captured_dns_is_one_rule_more(name: str) -> None:
    inputs = replace(NODE_OF[name], capture_dns=True)
    assert inputs.ztunnel
    more = added(made(name), made(name, inputs))
    assert more == {"nat": [f"-A ztunnel-PREROUTING {DNS} {inputs.ztunnel.address}:15053"]}
    assert made(name, inputs)["nat"].index(more["nat"][0]) == 3


@pytest.mark.parametrize("name", [name for name in PROGRAMS if made(name).get("links")])
def test_the_tunnels_type_is_an_option(name: str) -> None:
    """The id, the port and all rules stay as they are."""
    vxlan = made(name, names=Names(tunnel_type=TunnelType.VXLAN))
    assert vxlan == made(name) | {"links": [line.replace("geneve", "vxlan") for line in made(name)["links"]]}


@pytest.mark.parametrize("name", OF_A_NODE)
def test_pods_of_the_other_family_are_not_in_the_set(name: str) -> None:
    inputs = NODE_OF[name]
    both = replace(inputs, pods=(*inputs.pods, MeshedPod(address=ip_address("fd00::2"), uid="six")))
    assert made(name, both) == made(name)


@pytest.mark.parametrize("name", OF_A_NODE)
def test_without_ztunnel_nothing_is_redirected(name: str) -> None:
    """Plain: sysctls stay, and what the DPU node needs to carry the packets of its CPU node."""
    left = made(name, without_ztunnel(NODE_OF[name], WithoutZtunnel.PLAIN))
    transit = {"filter": ["-A FORWARD -j ztunnel-FORWARD", TRANSIT]} if name == "dpu_node" else {}
    assert left == {"sysctls": left["sysctls"]} | transit
    assert set(left["sysctls"]) <= set(made(name)["sysctls"])


@pytest.mark.parametrize("name", OF_A_NODE)
def test_without_ztunnel_the_tcp_of_meshed_pods_is_blocked_if_so_wanted(name: str) -> None:
    plain = made(name, without_ztunnel(NODE_OF[name], WithoutZtunnel.PLAIN))
    blocked = made(name, without_ztunnel(NODE_OF[name], WithoutZtunnel.BLOCK))
    transit = [TRANSIT] if name == "dpu_node" else []
    assert blocked == plain | {"filter": [*BLOCKED, *transit], "sets": made(name)["sets"]}


def test_nothing_is_left_of_the_ztunnel_pod_s_namespace_without_one() -> None:
    assert made("ztunnel_netns", without_ztunnel(DPU, WithoutZtunnel.BLOCK)) == {}


def test_a_meshed_pod_of_the_dpu_node_itself_is_served_as_those_of_its_cpu_node() -> None:
    pod = MeshedPod(address=ip_address("10.244.1.9"), uid="own", device="veth5")
    assert added(made("dpu_node"), made("dpu_node", replace(DPU, pods=(*DPU.pods, pod)))) == {
        "sysctls": ["net/ipv4/conf/veth5/rp_filter=0"],
        "sets": ['ztunnel-pods-ips 10.244.1.9 "own"'],
        "table 100": ["10.244.1.9 via 192.168.126.2 dev istioin src 10.244.1.1"],
    }


@pytest.mark.parametrize(("name", "inputs"), [(name, node) for name in OF_A_NODE for node in NODES.values()])
def test_a_program_refuses_a_node_it_is_not_for(name: str, inputs: NodeInputs) -> None:
    right = NODE_OF[name].role
    if inputs.role is right:
        assert made(name, inputs)
        return
    with pytest.raises(InputError, match=f"^program {name}: role is {inputs.role}: expected {right}$"):
        made(name, inputs)


def test_the_ztunnel_pod_is_not_on_a_cpu_node() -> None:
    with pytest.raises(InputError, match=r"^program ztunnel_netns: role is cpu: expected the node ztunnel"):
        made("ztunnel_netns", CPU)


@pytest.mark.parametrize("role", Role)
def test_a_node_of_each_role_has_a_default_program(role: Role) -> None:
    assert made(DEFAULT_PROGRAMS[role], NODES[role])


ROUTES = {
    "cpu": {
        "10.244.1.0/24": "192.168.50.131",
        "10.244.2.0/24": "192.168.50.131",
        "10.244.3.0/24": "192.168.50.131",
        "10.244.4.0/24": "192.168.50.131",
    },
    "dpu": {
        "10.244.0.0/24": "192.168.50.130",
        "10.244.2.0/24": "192.168.50.128",
        "10.244.3.0/24": "192.168.50.128",
        "10.244.4.0/24": "192.168.50.140",
    },
    "single": {
        "10.244.0.0/24": "192.168.50.131",
        "10.244.1.0/24": "192.168.50.131",
        "10.244.2.0/24": "192.168.50.128",
        "10.244.3.0/24": "192.168.50.128",
    },
}


@pytest.mark.parametrize("role", Role)
def test_pods_of_other_nodes_are_reached_by_their_dpu(role: Role) -> None:
    """And by the own DPU from a CPU node; the own range has no route of ours."""
    expected = [f"{cidr} via {hop} dev ens32" for cidr, hop in ROUTES[role].items()]
    assert made("pod_routes", NODES[role]) == {"table main": expected}


@pytest.mark.parametrize(
    ("inputs", "hop"),
    [
        (replace(CPU, address_v6=IPv6Address("fd50::130"), peer_v6=IPv6Address("fd50::131")), "fd50::131"),
        (replace(DPU, address_v6=IPv6Address("fd50::131"), peer_v6=IPv6Address("fd50::130")), "fd50::128"),
        (replace(SINGLE, address_v6=IPv6Address("fd50::140")), "fd50::128"),
    ],
    ids=["cpu", "dpu", "single"],
)
def test_ipv6_ranges_are_reached_by_ipv6_addresses(inputs: NodeInputs, hop: str) -> None:
    far = PodRange(cidr=ip_network("fd03::/64"), node=ip_address("fd50::133"), dpu=ip_address("fd50::128"))
    own = PodRange(cidr=ip_network("fd00::/64"), node=inputs.address_v6 or ip_address("::1"))
    (route,) = PROGRAMS["pod_routes"](replace(inputs, ranges=(far, own)), NAMES).routes
    assert (str(route.destination), str(route.via), route.family) == ("fd03::/64", hop, 6)


def test_programs_of_one_node_combine_to_one() -> None:
    both = combine(PROGRAMS["cpu_node"](CPU, NAMES), PROGRAMS["pod_routes"](CPU, NAMES))
    assert both.name == "cpu_node+pod_routes"
    assert sections(both) == made("cpu_node") | made("pod_routes")
    assert combine(both, PROGRAMS["pod_routes"](CPU, NAMES)).routes == both.routes


def test_programs_that_want_the_same_in_two_ways_do_not_combine() -> None:
    both = (PROGRAMS[name](CPU, NAMES) for name in ("cpu_node", "cpu_node_original"))
    with pytest.raises(InputError, match=r"^programs cpu_node\+cpu_node_original: each wants its own chain "):
        combine(*both)
