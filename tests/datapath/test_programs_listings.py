"""
Every line of the original project's listings is in one of our programs, or is there a reason why it is not.

``original_listings`` tells what they are. The other way round as well: a rule that a program of the originals
has and its listing has not, has a reason too.
"""

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.datapath.nodes import CPU, DPU, SINGLE
from tests.datapath.original_listings import LISTINGS, read_listing
from tests.datapath.program_listing import sections
from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.programs import PROGRAMS


@dataclass(frozen=True)
class Case:
    """
    A listing's programs, and the node it was printed on.

    ``mistakes`` are the beginnings of lines that no program has on purpose, ``unlisted`` of rules that a
    program has and the listing has not, each with the reason.
    """

    programs: tuple[str, ...]
    inputs: NodeInputs
    names: Names = field(default_factory=Names)
    mistakes: dict[str, str] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)


def _node(inputs: NodeInputs, ztunnel: str, device: str, *pods: str) -> NodeInputs:
    """The single node or DPU with this ztunnel, whose pods' gateway is the first address beside it."""
    beside = IPv4Network(f"{ztunnel}/24", strict=False)
    return replace(
        inputs,
        pod_cidr=beside,
        host_ip=beside.network_address + 1,
        ztunnel=Ztunnel(address=IPv4Address(ztunnel), device=device),
        pods=tuple(MeshedPod(address=IPv4Address(pod), uid=pod) for pod in pods),
    )


def _walked(inputs: NodeInputs, own: str, ranges: dict[str, str]) -> NodeInputs:
    """A node of a cluster without DPUs: its address, and the ranges of other nodes with theirs."""
    return replace(
        inputs,
        address=IPv4Address(own),
        uplink="eth0",
        ranges=tuple(
            PodRange(cidr=IPv4Network(cidr), node=IPv4Address(node)) for cidr, node in ranges.items()
        ),
    )


# Numbers are those of the mistakes in docs/datapath.md.
BY_OWNER = "-A ztunnel-OUTPUT -s {} -p tcp -m owner --socket-exists -m set"
NARROWED = "23: of a later edition, which skips TCP of sockets to meshed pods alone; the original skips all"
SYNTAX = "19: no -m set: iptables refuses the line"
FLUSHED = "3: flushing and deleting is the plan's work; chains of ours are declared, which flushes them alone"
WIDE = {"-A ztunnel-OUTPUT -s 10.244.": NARROWED}
NAT = {"-A ztunnel-PREROUTING -m mark --mark 0x100/0x100 -j ACCEPT": "only the table mangle is printed"}
M5 = {"-A ztunnel-PREROUTING ! -d 10.244.": "added: errors reach sockets with others' addresses"}
BUILTIN = "rules are in chains of ours: a built-in chain is not flushed, others may have rules in it"

CLIENT = _walked(
    _node(SINGLE, "10.244.1.2", "veth08baa690", "10.244.1.4"),
    "172.18.0.2",
    {"10.244.0.0/24": "172.18.0.4", "10.244.2.0/24": "172.18.0.3"},
)
SERVER = _walked(
    _node(SINGLE, "10.244.2.3", "veth07706a33", "10.244.2.5"),
    "172.18.0.3",
    {"10.244.0.0/24": "172.18.0.4", "10.244.1.0/24": "172.18.0.2"},
)
OF_NODE = ("ambient_node_original", "pod_routes")

CASES = {
    "notes_single_node": Case(
        ("ambient_node_original",), _node(SINGLE, "10.244.0.3", "vethfe50c7fb", "10.244.0.7", "10.244.0.8")
    ),
    "notes_cpu_node": Case(
        ("cpu_node_tunnelled",),
        replace(CPU, ztunnel=Ztunnel(address=IPv4Address("10.244.0.3"))),
        Names(dpu_link="dputun"),
        {
            "-A ztunnel-PREROUTING ! -s 10.244.0.3/32 -i ens32 --match-set": SYNTAX,
            "-A ztunnel-PREROUTING -i ens32 --match-set": SYNTAX,
            "10.244.0.7 via 192.168.126.2 dev istioin": "19: the CPU node has no istioin, nor rule 103 to it",
            "10.244.0.8 via 192.168.126.2 dev istioin": "19: the CPU node has no istioin, nor rule 103 to it",
        },
        {
            "-A ztunnel-PREROUTING ! -s 10.244.0.3/32 -i ens32 -m set": SYNTAX,
            "-A ztunnel-PREROUTING -i ens32 -m set": SYNTAX,
        },
    ),
    "notes_dpu_node": Case(("dpu_node_original",), _node(DPU, "10.244.0.3", "vethfe50c7fb", "10.244.0.7")),
    "readme_cpu_node": Case(("cpu_node_original",), CPU, unlisted=NAT),
    "readme_cpu_routes": Case(("pod_routes",), CPU),
    "readme_dpu_routes": Case(("pod_routes",), DPU),
    "walk_client_node": Case(
        OF_NODE, CLIENT, mistakes={BY_OWNER.format("10.244.1.1/32"): NARROWED}, unlisted=WIDE | NAT
    ),
    "walk_client_ztunnel": Case(("ztunnel_netns",), CLIENT, unlisted=M5),
    "walk_server_node": Case(
        OF_NODE, SERVER, mistakes={BY_OWNER.format("10.244.2.1/32"): NARROWED}, unlisted=WIDE | NAT
    ),
    "walk_server_ztunnel": Case(("ztunnel_netns",), SERVER, unlisted=M5),
    "debug_node": Case(("ambient_node_original",), _node(SINGLE, "10.244.2.3", "veth9f651c51")),
    "debug_ztunnel": Case(("ztunnel_netns",), _node(SINGLE, "10.244.1.5", "veth87a7244e"), unlisted=M5),
    "debug_commands": Case(
        ("ambient_node_original", "ztunnel_netns"),
        _node(SINGLE, "10.244.1.5", "veth87a7244e"),
        mistakes={
            "iptables-nft -t mangle -F PREROUTING": BUILTIN,
            "iptables-nft -t nat -F OUTPUT": BUILTIN,
            "iptables-nft -t": FLUSHED,
        },
    ),
}

OTHERS = {
    r"0: from all lookup local": "the kernel's own rule",
    r"32766: from all lookup main": "the kernel's own rule",
    r"32767: from all lookup default": "the kernel's own rule",
    r".* proto kernel .*": "made by the kernel for an address",
    r"[\d.]+ dev veth\w+ scope host": "the CNI plugin's route to a pod",
    r"default via (172.18.0.1|10.244.[12].1) dev eth0": "the network's, and the CNI plugin's in a pod",
    r"10.244.\d.0/24 via 10.244.\d.1 dev eth0 src [\d.]+": "the CNI plugin's in a pod",
    r"10.244.\d.1 dev eth0 scope link src [\d.]+": "the CNI plugin's in a pod",
}


def test_every_listing_is_accounted_for() -> None:
    assert {path.stem for path in LISTINGS.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_every_line_of_a_listing_is_in_a_program_or_has_a_reason(name: str) -> None:
    case = CASES[name]
    held = _held(case)
    missing = [
        line
        for line in read_listing(name)
        if line.text not in held.get(line.section, ()) and not _reason(line.text, case.mistakes)
    ]
    assert missing == []


@pytest.mark.parametrize("name", CASES)
def test_the_rules_of_a_chain_stand_in_the_order_of_its_listing(name: str) -> None:
    case = CASES[name]
    held = _held(case).get("iptables", [])
    right = [line for line in _rules(name) if not _reason(line, case.mistakes)]
    for chain in {_chain(line) for line in right}:
        rest = iter([line for line in held if _chain(line) == chain])
        assert all(line in rest for line in right if _chain(line) == chain)


@pytest.mark.parametrize("name", CASES)
def test_a_program_has_no_rule_but_those_of_its_listing_or_there_is_a_reason(name: str) -> None:
    case = CASES[name]
    rules = [line for line in _held(case).get("iptables", []) if line.startswith("-A ztunnel-")]
    chains = {_chain(line) for line in _rules(name)}
    more = Counter(line for line in rules if _chain(line) in chains) - Counter(_rules(name))
    assert {line: _stated(line, case.unlisted) for line in more if not _stated(line, case.unlisted)} == {}
    assert [start for start in case.unlisted if not any(line.startswith(start) for line in more)] == []


@pytest.mark.parametrize("name", CASES)
def test_no_reason_is_given_for_a_line_that_is_not_there(name: str) -> None:
    lines = [line.text for line in read_listing(name)]
    for start in CASES[name].mistakes:
        assert [line for line in lines if line.startswith(start)]


def _rules(name: str) -> list[str]:
    """Rules of a listing in chains of its own."""
    return [line.text for line in read_listing(name) if line.text.startswith("-A ztunnel-")]


def _chain(line: str) -> str:
    return line.split()[1]


def _reason(line: str, mistakes: dict[str, str]) -> str:
    others = (reason for words, reason in OTHERS.items() if re.fullmatch(words, line))
    return _stated(line, mistakes) or next(others, "")


def _stated(line: str, reasons: dict[str, str]) -> str:
    return next((reason for start, reason in reasons.items() if line.startswith(start)), "")


def _held(case: Case) -> dict[str, list[str]]:
    """All lines of the programs; the tables of iptables are one, as some listings do not tell them apart."""
    held: dict[str, list[str]] = {}
    for name in case.programs:
        program = PROGRAMS[name](case.inputs, case.names)
        for section, lines in sections(program).items():
            held.setdefault("iptables" if section in ("mangle", "nat") else section, []).extend(lines)
        held.setdefault("iptables", []).extend(f":{chain.name} - [0:0]" for chain in program.chains)
    held["links"] = [line.partition(" dstport")[0] for line in held.get("links", ())]
    return held
