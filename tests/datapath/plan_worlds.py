"""Strategies: programs that agree with themselves, and kernels in a state that one of them has left."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hypothesis import strategies as st

from tests.datapath.model_kernel import ModelKernel
from tests.datapath.model_sets import ModelSets
from xds_server.datapath.plan_sets import TEMPORARY
from xds_server.datapath.plan_tables import wanted_positions
from xds_server.datapath.program import (
    Chain,
    IpSet,
    Jump,
    Link,
    Mark,
    PolicyRule,
    Program,
    Route,
    Sysctl,
    Table,
    TunnelType,
)

_SETS = ("ztunnel-pods-ips", "ztunnel-others")
_ADDRESSES = [IPv4Address(f"10.244.0.{last}") for last in range(2, 14)]
_NETWORKS = {"istioin": "192.168.126.1/30", "istioout": "192.168.127.1/30", "dputunnel": "192.168.128.1/30"}
_PLACES = [
    (Table.MANGLE, "PREROUTING"),
    (Table.MANGLE, "FORWARD"),
    (Table.NAT, "PREROUTING"),
    (Table.NAT, "POSTROUTING"),
    (Table.FILTER, "FORWARD"),
]
_MARKS = [Mark(bit, bit) for bit in (0x40, 0x80, 0x100, 0x200)]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any program every mark of which has a rule with a table that is not empty."""
    links = draw(_links())
    devices = ["ens32", *(link.name for link in links)]
    sets = draw(_sets())
    ways = draw(st.dictionaries(st.sampled_from(_MARKS), st.integers(101, 104)))
    chains = draw(_chains(sets, sorted(ways, key=str)))
    return Program(
        name="drawn",
        links=links,
        sysctls=draw(_sysctls(devices)),
        sets=sets,
        chains=chains,
        jumps=tuple(
            Jump(chain.table, chain.name.removeprefix("ztunnel-").removesuffix("-2"), chain.name)
            for chain in chains
            if draw(st.booleans())
        ),
        rules=draw(_rules(ways)),
        routes=draw(_routes(devices, sorted(set(ways.values())), sets)),
    )


@st.composite
def kernels(draw: st.DrawFn, program: Program) -> ModelKernel:
    """A kernel with a program, its jumps where others have moved them, and what a killed swap left."""
    positions = wanted_positions(program)
    for jump in positions:
        positions = {**positions, jump: draw(st.sampled_from([(1,), (1,), (), (2,), (1, 3)]))}
    kernel = ModelKernel.holding(program, positions)
    if draw(st.booleans()):
        left = IpSet(_SETS[0] + TEMPORARY, draw(_members()))
        kernel.sets = ModelSets.holding((*kernel.sets.held(), left))
    return kernel


@st.composite
def _links(draw: st.DrawFn) -> tuple[Link, ...]:
    type_, port = draw(st.sampled_from(list(TunnelType))), draw(st.sampled_from([6081, 6082]))
    names = draw(st.lists(st.sampled_from(sorted(_NETWORKS)), unique=True))
    numbers = draw(st.permutations([1000, 1001, 2000]))
    return tuple(
        Link(
            name=name,
            type=type_,
            vni=vni,
            remote=draw(st.sampled_from([IPv4Address("10.244.1.2"), IPv4Address("10.244.1.3")])),
            port=port,
            address=IPv4Interface(_NETWORKS[name]),
            mtu=draw(st.sampled_from([1400, 1450])),
        )
        for name, vni in zip(names, numbers, strict=False)
    )


def _members() -> st.SearchStrategy[frozenset[tuple[IPv4Address, str]]]:
    comments = st.sampled_from(["", "6f1", "with space"])
    members = st.dictionaries(st.sampled_from(_ADDRESSES), comments)
    return members.map(lambda drawn: frozenset(drawn.items()))


@st.composite
def _sets(draw: st.DrawFn) -> tuple[IpSet, ...]:
    names = draw(st.lists(st.sampled_from(_SETS), unique=True))
    return tuple(IpSet(name, draw(_members())) for name in names)


@st.composite
def _chains(draw: st.DrawFn, sets: tuple[IpSet, ...], marks: list[Mark]) -> tuple[Chain, ...]:
    choices = [("-i", "ens32", "-j", "RETURN"), ("-m", "comment", "--comment", 'two "words"', "-j", "ACCEPT")]
    choices += [("-m", "set", "--match-set", each.name, "src", "-j", "DROP") for each in sets]
    choices += [("-p", "tcp", "-j", "MARK", "--set-xmark", str(mark)) for mark in marks]
    rules = st.lists(st.sampled_from(choices), max_size=4).map(tuple)
    places = draw(st.lists(st.tuples(st.sampled_from(_PLACES), st.sampled_from(["", "-2"])), unique=True))
    return tuple(
        Chain(table, f"ztunnel-{builtin}{ending}", draw(rules)) for (table, builtin), ending in places
    )


@st.composite
def _sysctls(draw: st.DrawFn, devices: list[str]) -> tuple[Sysctl, ...]:
    names = [f"net/ipv4/conf/{device}/{key}" for device in devices for key in ("rp_filter", "accept_local")]
    paths = draw(st.lists(st.sampled_from(["net/ipv4/ip_forward", *names]), unique=True))
    return tuple(Sysctl(path, draw(st.sampled_from(["0", "1", "2"]))) for path in paths)


@st.composite
def _rules(draw: st.DrawFn, ways: dict[Mark, int]) -> tuple[PolicyRule, ...]:
    priorities = st.sampled_from([99, 100, 101])
    rules = [PolicyRule(priority=draw(priorities), fwmark=mark, table=table) for mark, table in ways.items()]
    other = PolicyRule(priority=103, ipproto=draw(st.sampled_from(["", "tcp"])), table=100)
    return (*rules, other) if draw(st.booleans()) else tuple(rules)


@st.composite
def _routes(
    draw: st.DrawFn, devices: list[str], tables: list[int], sets: tuple[IpSet, ...]
) -> tuple[Route, ...]:
    device = st.sampled_from(devices)
    routes = [Route(table=table, device=draw(device)) for table in tables]
    near = IPv4Network("10.244.1.2/32")
    routes += [
        Route(table=table, destination=near, device="vethzt1", scope_link=True)
        for table in tables
        if draw(st.booleans())
    ]
    pods = sorted({address for each in sets for address, _comment in each.members})
    routes += [
        Route(table=100, destination=IPv4Network(pod), device=draw(device))
        for pod in pods
        if draw(st.booleans())
    ]
    return tuple(routes)
