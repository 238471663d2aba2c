"""What others have in the place of ours, named; what is in nobody's way, not."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from tests.datapath.real_kernels import NOTHING
from tests.datapath.step_cases import LINK
from xds_server.datapath.clashes import Seen, clashes_between
from xds_server.datapath.observe_iptables import SavedTables, read_tables
from xds_server.datapath.observe_links import Device, Tunnel
from xds_server.datapath.observe_routes import SeenRoute
from xds_server.datapath.observe_rules import SeenRule
from xds_server.datapath.observe_sets import SeenSet
from xds_server.datapath.program import (
    MAIN,
    PROTOCOL,
    Chain,
    IpSet,
    Mark,
    PolicyRule,
    Program,
    Route,
    Table,
    TunnelType,
)

RULE = PolicyRule(priority=101, fwmark=Mark(0x100, 0x100), table=101)
ROUTE = Route(table=101, via=IPv4Address("192.168.50.131"), device="ens32")
POD_ROUTE = Route(table=MAIN, destination=IPv4Network("10.244.3.0/24"), via=ROUTE.via, device="ens32")
CHAIN = Chain(
    Table.MANGLE,
    "ztunnel-PREROUTING",
    (
        ("-m", "connmark", "--mark", "0x220/0x220", "-j", "MARK", "--set-xmark", "0x200/0x200"),
        ("-j", "CONNMARK", "--save-mark", "--nfmask", "0x10", "--ctmask", "0x10"),
    ),
)
DESIRED = Program(
    name="wanted",
    links=(LINK,),
    sets=(IpSet("ztunnel-pods-ips"),),
    chains=(CHAIN,),
    rules=(RULE, PolicyRule(priority=100, fwmark=Mark(0x200, 0x200), goto=32766)),
    routes=(ROUTE, POD_ROUTE),
)
MAIN_RULE = SeenRule(
    family=4, priority=32766, protocol=2, fwmark=None, table=MAIN, text="priority 32766 lookup 254"
)
OWN = frozenset({"istioin", "istioout"})


def a_rule(**words: Any) -> SeenRule:
    said: dict[str, Any] = {
        "family": 4,
        "priority": 50,
        "protocol": 3,
        "fwmark": None,
        "table": 500,
        "text": "R",
    }
    return SeenRule(**(said | words))


def a_route(**words: Any) -> SeenRoute:
    said: dict[str, Any] = {"family": 4, "table": 101, "protocol": 4, "destination": None, "text": "T"}
    return SeenRoute(**(said | words))


def a_device(name: str, **words: Any) -> Device:
    said: dict[str, Any] = {"index": 9, "name": name, "kind": "veth", "mtu": 1500, "up": True}
    return Device(**(said | words))


def a_tunnel(name: str, **words: Any) -> Device:
    said: dict[str, Any] = {
        "type": TunnelType.VXLAN,
        "vni": 1,
        "remote": None,
        "port": 4789,
        "external": False,
    }
    tunnel = Tunnel(**(said | words))
    return a_device(name, kind=tunnel.type.value, tunnel=tunnel)


def mangle(*rules: str) -> SavedTables:
    return read_tables("\n".join(("*mangle", *rules, "COMMIT")), "ztunnel-")


def clashes(desired: Program = DESIRED, **seen: Any) -> list[str]:
    rules = (MAIN_RULE, *seen.pop("rules", ()))
    tables = seen.pop("tables", SavedTables())
    return list(clashes_between(Seen(tables=tables, rules=rules, own_links=OWN, **seen), desired))


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "a set of another type": (
        {"sets": (SeenSet(IpSet("ztunnel-pods-ips"), "its type is hash:net, not hash:ip"),)},
        ["set ztunnel-pods-ips: its type is hash:net, not hash:ip: it is not ours"],
    ),
    "a set of the other family": (
        {"sets": (SeenSet(IpSet("ztunnel-pods-ips", family="inet6")),)},
        ["set ztunnel-pods-ips: its family is inet6, not inet: it is not ours"],
    ),
    "a strange set where none of ours shall be": ({"sets": (SeenSet(IpSet("other"), "strange"),)}, []),
    "a link of another type": (
        {"devices": (a_device("istioin"),)},
        ["link istioin: its type is veth: it is no tunnel of ours"],
    ),
    "a link with no type": (
        {"devices": (a_device("istioin", kind=""),)},
        ["link istioin: its type is unknown: it is no tunnel of ours"],
    ),
    "a tunnel of ours that is not as it shall be": (
        {"devices": (a_tunnel("istioin", vni=5, remote=IPv4Address("10.0.0.1")),)},
        [],
    ),
    "a tunnel with the same number at the same port": (
        {"devices": (a_tunnel("other", vni=1000, port=6081),)},
        ["link other: vxlan with vni 1000 at port 6081, where istioin shall be"],
    ),
    "a tunnel that takes any number at the same port": (
        {"devices": (a_tunnel("other", port=6081, external=True),)},
        ["link other: vxlan with any vni at port 6081, where istioin shall be"],
    ),
    "a tunnel of the other type at the same port": (
        {"devices": (a_tunnel("cilium_geneve", type=TunnelType.GENEVE, port=6081),)},
        ["link cilium_geneve: geneve with vni 1 at port 6081, where istioin shall be"],
    ),
    "a tunnel of ours that is not wanted": ({"devices": (a_tunnel("istioout", vni=1000, port=6081),)}, []),
    "a tunnel with another number, or port": (
        {"devices": (a_tunnel("a", port=6081), a_tunnel("flannel.1", vni=1000, port=8472))},
        [],
    ),
    "an address of our network": (
        {"devices": (a_device("virbr0", addresses=(IPv4Interface("192.168.126.2/24"),)),)},
        ["link virbr0: address 192.168.126.2/24 is of the network 192.168.126.0/30 of istioin"],
    ),
    "other addresses": (
        {"devices": (a_device("virbr0", addresses=(IPv4Interface("192.168.126.5/24"),)),)},
        [],
    ),
    "a rule at our priority": (
        {"rules": (a_rule(priority=101, text="priority 101 fwmark 0x1 lookup 7 protocol 3"),)},
        ["rule priority 101 fwmark 0x1 lookup 7 protocol 3: its priority is one of ours"],
    ),
    "a rule at our priority, of the other family": ({"rules": (a_rule(priority=101, family=6),)}, []),
    "a rule that looks up our table": ({"rules": (a_rule(table=101),)}, ["rule R: its table is one of ours"]),
    "a rule that looks up main": ({"rules": (a_rule(table=MAIN),)}, []),
    "a rule for a mark with our bits": (
        {"rules": (a_rule(fwmark=Mark(0x200, 0xF00)),)},
        ["rule R: asks for bits of marks, of which ours are made"],
    ),
    "a rule for a mark without our bits": ({"rules": (a_rule(fwmark=Mark(0x800, 0xF00)),)}, []),
    "a rule of ours": ({"rules": (a_rule(priority=101, protocol=PROTOCOL, ours=RULE),)}, []),
    "a rule of our protocol that says what ours do not": (
        {"rules": (a_rule(priority=101, protocol=PROTOCOL),)},
        ["rule R: its priority is one of ours"],
    ),
    "a route in our table": (
        {"routes": (a_route(destination=IPv4Network("10.0.0.0/8")),)},
        ["route T: its table is one of ours"],
    ),
    "a route where ours shall be": ({"routes": (a_route(),)}, ["route T: it is where one of ours shall be"]),
    "a route in main where ours shall be": (
        {"routes": (a_route(table=MAIN, destination=POD_ROUTE.destination),)},
        ["route T: it is where one of ours shall be"],
    ),
    "another route in main": ({"routes": (a_route(table=MAIN),)}, []),
    "a route of ours": ({"routes": (a_route(protocol=PROTOCOL, ours=ROUTE),)}, []),
    "a route of our protocol that is not as ours": (
        {"routes": (a_route(protocol=PROTOCOL, table=7),)},
        ["route T: it has our protocol number, and is not as ours are"],
    ),
    "a table with a name": (
        {"table_names": {101: "uplink2 in /etc/iproute2/rt_tables", 300: "x in y"}},
        ["table 101: it is called uplink2 in /etc/iproute2/rt_tables"],
    ),
    "a table of a VRF": (
        {"devices": (a_device("blue", kind="vrf", table=101), a_device("red", kind="vrf", table=7))},
        ["table 101: it is that of the VRF blue"],
    ),
    "a way to a chain of ours": (
        {"tables": mangle("-A OTHER -j ztunnel-PREROUTING")},
        ["mangle: -A OTHER -j ztunnel-PREROUTING: leads to a chain of ours, and is not ours"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_in_the_way_is_named(name: str) -> None:
    seen, expected = CASES[name]
    assert clashes(**seen) == expected


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_in_the_way_of_nothing(name: str) -> None:
    seen, expected = CASES[name]
    remains = {"a way to a chain of ours", "a route of our protocol that is not as ours"}
    assert clashes(NOTHING, **seen) == (expected if name in remains else [])


def test_a_rule_that_goes_on_where_there_is_none_is_told() -> None:
    seen = Seen(tables=SavedTables(), rules=(replace(MAIN_RULE, priority=32000),), own_links=OWN)
    assert list(clashes_between(seen, DESIRED)) == ["rule 32766: there is none to go on at"]


def test_geneve_tells_tunnels_apart_by_their_far_ends() -> None:
    link = replace(LINK, type=TunnelType.GENEVE)
    same = {"type": TunnelType.GENEVE, "vni": link.vni, "port": link.port}
    devices = (
        a_tunnel("a", remote=link.remote, **same),
        a_tunnel("b", remote=IPv4Address("10.0.0.1"), **same),
    )
    assert clashes(replace(DESIRED, links=(link,)), devices=devices) == [
        "link a: geneve with vni 1000 at port 6081, where istioin shall be"
    ]


MARKING = [
    ("-A X -j MARK --set-xmark 0x4000/0x4000", ""),
    ("-A X -j MARK --set-xmark 0x4000/0x0", ""),
    ("-A X -j MARK --set-xmark 0x100/0x0", "changes 0x100"),
    ("-A X -j MARK --set-xmark 0x0/0xffffffff", "changes 0x330"),
    ("-A X -j MARK --set-xmark 0x0/0x300", "changes 0x300"),
    ("-A X -j CONNMARK --set-xmark 0x20/0x20", "changes 0x20"),
    ("-A X -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80", ""),
    ("-A X -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff", "changes 0x330"),
    ("-A X -j CONNMARK --restore-mark", "changes 0x330"),
    ("-A X -j CONNMARK --save-mark --nfmask 0x10 --ctmask 0x10", "changes 0x10"),
    ("-A X -p tcp -j TPROXY --on-port 5 --on-ip 0.0.0.0 --tproxy-mark 0x1/0xfff", "changes 0x330"),
    ("-A X -m mark --mark 0x200/0xf00 -j DROP", "asks for 0x200"),
    ("-A X -m connmark ! --mark 0x210 -j DROP", "asks for 0x210"),
    ("-A X -m mark --mark 0x0/0x140 -j ACCEPT", ""),
    ("-A X -m mark --mark 0x26000000/0xff000000 -j ACCEPT", ""),
    ("-A X -m comment --comment --mark -j ACCEPT", ""),
    ("-A X -m comment --comment --set-xmark -j ACCEPT", ""),
    ("-A X -j CONNMARK --restore-mark --nfmask 0x40 --ctmask 0x100", "changes 0x100"),
]


@pytest.mark.parametrize(("rule", "expected"), MARKING)
def test_rules_that_change_or_ask_for_bits_of_our_marks_are_named(rule: str, expected: str) -> None:
    told = [f"mangle: {rule}: {expected} of marks, of which ours are made"] if expected else []
    assert clashes(tables=mangle(rule)) == told
    assert clashes(NOTHING, tables=mangle(rule)) == []
