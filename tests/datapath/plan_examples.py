"""A small program in the manner of a DPU node's, and a kernel's state that differs from it as a test says."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import Plan, plan
from xds_server.datapath.plan_tables import Positions, wanted_positions
from xds_server.datapath.program import (
    Address,
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
from xds_server.datapath.steps import RestoreSets, RestoreTable, Step

PODS = "ztunnel-pods-ips"
POD_1, POD_2 = IPv4Address("10.244.0.2"), IPv4Address("10.244.0.3")
SKIP = Mark(0x220, 0x220)
CREATE_NEW = f"create {PODS}-new hash:ip family inet comment"
JUMP = "PREROUTING -j ztunnel-PREROUTING"
INSERT = "-I PREROUTING 1 -j ztunnel-PREROUTING"
GATEWAY, HOST = IPv4Address("192.168.126.2"), IPv4Address("10.244.1.1")
OUTBOUND = Mark(0x100, 0x100)
IN = Link(
    name="istioin",
    type=TunnelType.GENEVE,
    vni=1000,
    remote=IPv4Address("10.244.1.2"),
    port=6081,
    address=IPv4Interface("192.168.126.1/30"),
    mtu=1450,
)
IN_SYSCTL = Sysctl("net/ipv4/conf/istioin/rp_filter", "0")
ALL_SYSCTL = Sysctl("net/ipv4/conf/all/rp_filter", "0")
MARK_RULE = ("-p", "tcp", "-m", "set", "--match-set", PODS, "src", "-j", "MARK", "--set-xmark", "0x100/0x100")
MANGLE = Chain(Table.MANGLE, "ztunnel-PREROUTING", (("-i", "istioin", "-j", "RETURN"), MARK_RULE))
NAT = Chain(Table.NAT, "ztunnel-PREROUTING", (("-m", "mark", "--mark", "0x100/0x100", "-j", "ACCEPT"),))
MANGLE_JUMP = Jump(Table.MANGLE, "PREROUTING", "ztunnel-PREROUTING")
NAT_JUMP = Jump(Table.NAT, "PREROUTING", "ztunnel-PREROUTING")
MARKED = PolicyRule(priority=101, fwmark=OUTBOUND, table=101)
ALL_TCP = PolicyRule(priority=103, ipproto="tcp", table=100)
DEFAULT = Route(table=101, via=GATEWAY, device="istioin")
NEAR = Route(table=101, destination=IPv4Network("10.244.1.2/32"), device="veth1", scope_link=True)


def pod_route(pod: Address, gateway: Address = GATEWAY) -> Route:
    destination = IPv4Network(f"{pod}/32")
    return Route(table=100, destination=destination, via=gateway, device="istioin", src=HOST)


NODE = Program(
    name="example",
    links=(IN,),
    sysctls=(ALL_SYSCTL, IN_SYSCTL),
    sets=(IpSet(PODS, frozenset({(POD_1, "uid-1"), (POD_2, "uid-2")})),),
    chains=(MANGLE, NAT),
    jumps=(MANGLE_JUMP, NAT_JUMP),
    rules=(MARKED, ALL_TCP),
    routes=(DEFAULT, NEAR, pod_route(POD_1), pod_route(POD_2)),
)


def observed(positions: Positions | None = None, **other: Any) -> Observed:
    """Return a kernel that holds the example, but for what is given."""
    at_their_places = wanted_positions(NODE)
    return Observed(held=replace(NODE, **other), jumps=at_their_places if positions is None else positions)


def planned(observed: Observed, **wanted: Any) -> Plan:
    """Return the plan to the example, but for what is given."""
    return plan(observed, replace(NODE, **wanted))


def steps(plan: Plan) -> list[Step]:
    return [planned.step for planned in plan.steps]


def undo(plan: Plan) -> list[tuple[Step, ...]]:
    return [planned.undo for planned in plan.steps]


def mangle(*lines: str) -> RestoreTable:
    return RestoreTable(Table.MANGLE, ("*mangle", *lines, "COMMIT"))


def sets(*lines: str) -> RestoreSets:
    return RestoreSets(lines)


def pods(*members: tuple[Address, str]) -> tuple[IpSet, ...]:
    return (IpSet(PODS, frozenset(members)),)
