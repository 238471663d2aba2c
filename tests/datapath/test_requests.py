"""What the kernel is asked for by netlink is read back as the same, without a kernel between the two."""

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_network
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.step_cases import LINK
from xds_server.datapath import requests
from xds_server.datapath.netlink import attributes
from xds_server.datapath.observe_links import Device, read_addresses, read_device
from xds_server.datapath.observe_routes import read_route
from xds_server.datapath.observe_rules import read_rule
from xds_server.datapath.program import PROTOCOL, Link, Mark, PolicyRule, Route, TunnelType

ENS32 = Device(index=7, name="ens32", kind="veth", mtu=1500, up=True)
numbers = st.integers(1, 2**32 - 1)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    family: Literal[4, 6] = draw(st.sampled_from([4, 6]))
    addresses = st.ip_addresses(v=family).filter(lambda address: not address.is_unspecified)
    networks = st.builds(
        lambda address, length: ip_network((address, length), strict=False),
        addresses,
        st.integers(1, 32 if family == 4 else 128),
    )
    to: dict[str, Any] = {"table": draw(numbers), "destination": draw(st.none() | networks), "family": family}
    kind = draw(st.sampled_from(["via", "on link", "local", "blackhole"]))
    if kind == "blackhole":
        return Route(**to, blackhole=True)
    if kind == "local":
        return Route(**to, device="ens32", local=True)
    src = draw(st.none() | addresses)
    if kind == "on link":
        return Route(**to, device="ens32", src=src, scope_link=True)
    return Route(**to, device="ens32", src=src, via=draw(addresses), onlink=draw(st.booleans()))


@given(routes())
def test_a_route_is_read_as_it_was_asked_for(route: Route) -> None:
    seen = read_route(
        as_answered(requests.route(route, 0 if route.blackhole else 7), route.family), {7: ENS32}
    )
    assert seen.ours == route
    assert (seen.table, seen.destination, seen.protocol) == (route.table, route.destination, PROTOCOL)


def as_answered(body: bytes, family: int) -> bytes:
    """A kernel tells the metric of routes of IPv6, which nobody asks for."""
    return body + (struct.pack("=HHI", 8, 6, 1024) if family == 6 else b"")


marks = st.builds(lambda mask, value: Mark(value & mask, mask), numbers, numbers)


@given(
    st.builds(
        PolicyRule,
        priority=st.integers(1, 32765),
        fwmark=st.none() | marks,
        ipproto=st.sampled_from(["", *requests.PROTOCOLS]),
        table=numbers,
        family=st.sampled_from([4, 6]),
    ),
    st.integers(0, 2**31),
)
def test_a_rule_is_read_as_it_was_asked_for(rule: PolicyRule, goto: int) -> None:
    wanted = replace(rule, table=0, goto=goto) if goto else rule
    seen = read_rule(requests.rule(wanted))
    assert seen.ours == wanted
    assert (seen.priority, seen.protocol, seen.unresolved) == (wanted.priority, PROTOCOL, False)


@pytest.mark.parametrize("kind", TunnelType)
@pytest.mark.parametrize("remote", ["10.244.1.2", "fd00::2"])
@pytest.mark.parametrize("up", [True, False])
def test_a_link_is_read_as_it_was_asked_for(kind: TunnelType, remote: str, up: bool) -> None:
    far_end = IPv6Address(remote) if ":" in remote else IPv4Address(remote)
    link = replace(LINK, type=kind, remote=far_end, up=up)
    device = read_device(requests.new_link(link), {0: [link.address]})
    assert device.as_ours(link) == link
    assert device.name == link.name
    assert device.tunnel is not None
    assert not device.tunnel.external


@pytest.mark.parametrize(("kind", "number"), [(TunnelType.GENEVE, b""), (TunnelType.VXLAN, b"\x01")])
def test_a_tunnel_to_anywhere_is_none_of_ours(kind: TunnelType, number: bytes) -> None:
    numbers_of = {TunnelType.GENEVE: 6, TunnelType.VXLAN: 25}
    device = read_device(a_link(kind.value, {1: struct.pack("=I", 1), numbers_of[kind]: number}), {})
    assert device.tunnel is not None
    assert device.tunnel.external
    assert device.as_ours(None) is None


def test_a_tunnel_to_nowhere_is_none_of_ours() -> None:
    assert read_device(a_link("vxlan", {1: struct.pack("=I", 1)}), {}).as_ours(None) is None


def test_a_vrf_is_read_with_its_table() -> None:
    device = read_device(a_link("vrf", {1: struct.pack("=I", 101)}), {})
    assert (device.kind, device.table, device.tunnel) == ("vrf", 101, None)


def a_link(kind: str, data: dict[int, bytes]) -> bytes:
    info = attribute(1, kind.encode() + b"\0") + attribute(2, b"".join(map(attribute, data, data.values())))
    return bytes(16) + attribute(3, b"x\0") + attribute(18, info)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def test_an_address_is_read_as_it_was_asked_for() -> None:
    assert list(read_addresses([requests.new_address(LINK, 7)])) == [(7, LINK.address)]


def test_an_address_of_a_link_alone_is_not_read() -> None:
    body = bytearray(requests.new_address(LINK, 7))
    body[3] = requests.LINK_SCOPE
    assert list(read_addresses([bytes(body)])) == []


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"remote": IPv4Address("10.0.0.9")}, True),
        ({"address": IPv4Interface("10.0.0.9/30")}, False),
        ({"name": "x"}, False),
    ],
)
def test_a_link_has_a_hardware_address_by_its_name_and_address(changes: dict[str, Any], same: bool) -> None:
    other: Link = replace(LINK, **changes)
    assert (other.mac == LINK.mac) is same
    assert int(LINK.mac[:2], 16) & 0b11 == 0b10  # given by hand, to one
    assert attributes(requests.new_link(LINK), 16)[1] == bytes.fromhex(LINK.mac.replace(":", ""))


STRANGE_ROUTES = {
    "another metric": attribute(6, struct.pack("=I", 5)),
    "metrics": attribute(8, attribute(2, struct.pack("=I", 1400))),
    "several next hops": attribute(9, bytes(8)),
    "an encapsulation": attribute(22, bytes(4)),
}


@pytest.mark.parametrize("name", STRANGE_ROUTES)
def test_a_route_of_our_protocol_that_we_would_not_ask_for_is_not_ours(name: str) -> None:
    route = Route(table=101, via=IPv4Address("10.0.0.1"), device="ens32")
    seen = read_route(requests.route(route, 7) + STRANGE_ROUTES[name], {7: ENS32})
    assert seen.ours is None
    assert seen.text == "default via 10.0.0.1 dev ens32 table 101 proto 76"


def test_a_route_through_a_link_that_is_gone_is_not_ours() -> None:
    route = Route(table=101, device="ens32", scope_link=True)
    assert read_route(requests.route(route, 7), {}).ours is None


STRANGE_RULES = {
    "from ...": attribute(2, bytes([10, 0, 0, 1])),
    "iif ...": attribute(3, b"lo\0"),
    "uidrange ...": attribute(20, struct.pack("=II", 1, 2)),
}


@pytest.mark.parametrize("name", STRANGE_RULES)
def test_a_rule_of_our_protocol_that_we_would_not_ask_for_is_not_ours(name: str) -> None:
    rule = PolicyRule(priority=101, fwmark=Mark(1, 1), ipproto="tcp", table=101)
    seen = read_rule(requests.rule(rule) + STRANGE_RULES[name])
    assert seen.ours is None
    assert seen.text == f"priority 101 {name} fwmark 0x1/0x1 ipproto tcp lookup 101 protocol 76"
