"""A step of each kind with its way back, and what is observed between the two."""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from tests.datapath.real_kernels import NOTHING
from tests.helpers.scratch_node import UPLINK, VETH
from xds_server.datapath.program import (
    Chain,
    IpSet,
    Link,
    Mark,
    PolicyRule,
    Route,
    Sysctl,
    Table,
    TunnelType,
)
from xds_server.datapath.steps import (
    AddLink,
    AddRule,
    DeleteLink,
    DeleteRoute,
    DeleteRule,
    ReplaceRoute,
    RestoreSets,
    RestoreTable,
    SetSysctl,
    Step,
)

_ip, _net = IPv4Address, IPv4Network
LINK = Link(
    name="istioin",
    type=TunnelType.VXLAN,
    vni=1000,
    remote=_ip("10.244.1.2"),
    port=6081,
    address=IPv4Interface("192.168.126.1/30"),
    mtu=1450,
)
SETTING = Sysctl(f"net/ipv4/conf/{UPLINK}/rp_filter", "2")
DOTTED = Sysctl("net/ipv4/conf/dev.7/rp_filter", "2")
ASKED = replace(NOTHING, sysctls=(SETTING, DOTTED))
POD, OTHER_POD = (_ip("10.244.0.2"), "uid-2"), (_ip("10.244.0.7"), "")
SET = IpSet("ztunnel-pods-ips", frozenset({POD, OTHER_POD}))
CREATE = "create ztunnel-pods-ips hash:ip family inet comment"
RULES = (
    ("-p", "udp", "-m", "comment", "--comment", 'say "it\'s"', "-j", "RETURN"),
    ("-p", "tcp", "-m", "conntrack", "--ctdir", "ORIGINAL", "-j", "MARK", "--set-xmark", "0x100/0x100"),
)
CHAIN = Chain(Table.MANGLE, "ztunnel-PREROUTING", RULES)
TABLE = (
    "*mangle",
    ":ztunnel-PREROUTING - [0:0]",
    '-A ztunnel-PREROUTING -p udp -m comment --comment "say \\"it\'s\\"" -j RETURN',
    "-A ztunnel-PREROUTING -p tcp -m conntrack --ctdir ORIGINAL -j MARK --set-xmark 0x100/0x100",
    "-I PREROUTING 1 -j ztunnel-PREROUTING",
    "COMMIT",
)
NO_TABLE = (
    "*mangle",
    ":ztunnel-PREROUTING - [0:0]",
    "-D PREROUTING -j ztunnel-PREROUTING",
    "-X ztunnel-PREROUTING",
    "COMMIT",
)


@dataclass(frozen=True)
class Case:
    step: Step
    undo: Step
    kind: str
    """The part of a program that then holds ``value``."""
    value: Any


def _route(**words: Any) -> Case:
    route = Route(**words)
    return Case(ReplaceRoute(route), DeleteRoute(route), "routes", route)


def _rule(**words: Any) -> Case:
    rule = PolicyRule(**words)
    return Case(AddRule(rule), DeleteRule(rule), "rules", rule)


GATEWAY = _ip("192.168.50.130")
MARK = Mark(0x100, 0x100)
CASES = {
    "sysctl": Case(SetSysctl(SETTING), SetSysctl(Sysctl(SETTING.path, "0")), "sysctls", SETTING),
    "sysctl of a device with a dot": Case(
        SetSysctl(DOTTED), SetSysctl(Sysctl(DOTTED.path, "0")), "sysctls", DOTTED
    ),
    "set": Case(
        RestoreSets((CREATE, f'add {SET.name} {POD[0]} comment "uid-2"', f"add {SET.name} {OTHER_POD[0]}")),
        RestoreSets((f"destroy {SET.name}",)),
        "sets",
        SET,
    ),
    "link": Case(AddLink(LINK), DeleteLink(LINK), "links", LINK),
    "table": Case(RestoreTable(Table.MANGLE, TABLE), RestoreTable(Table.MANGLE, NO_TABLE), "chains", CHAIN),
    "route by a gateway": _route(table=101, via=GATEWAY, device=UPLINK),
    "route with a source": _route(
        table=100, destination=_net("10.244.0.2"), via=GATEWAY, device=UPLINK, src=_ip("10.244.1.1")
    ),
    "route of scope link": _route(table=102, destination=_net("10.244.1.2"), device=VETH, scope_link=True),
    "route onlink": _route(table=102, via=_ip("10.244.1.2"), device=VETH, onlink=True),
    "route to oneself": _route(table=100, device="lo", local=True),
    "route to nowhere": _route(table=100, destination=_net("10.244.0.2"), blackhole=True),
    "route in main": _route(table=254, destination=_net("10.244.3.0/24"), via=GATEWAY, device=UPLINK),
    "route in a table of a large number": _route(table=70_000, via=GATEWAY, device=UPLINK),
    "route of IPv6": _route(
        table=101, destination=IPv6Network("fd00:3::/64"), via=IPv6Address("fe80::9"), device=UPLINK, family=6
    ),
    "default route of IPv6": _route(table=101, via=IPv6Address("fe80::9"), device=UPLINK, family=6),
    "rule for a mark": _rule(priority=101, fwmark=MARK, table=101),
    "rule for all bits": _rule(priority=101, fwmark=Mark(0x1, 0xFFFFFFFF), table=254),
    "rule for a protocol": _rule(priority=103, ipproto="tcp", table=100),
    "rule that goes on": _rule(priority=100, fwmark=MARK, goto=32766),
    "rule in front of a table of a large number": _rule(priority=98, table=70_000),
    "rule of IPv6": _rule(priority=101, fwmark=MARK, table=101, family=6),
}
