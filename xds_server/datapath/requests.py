"""
What the kernel is asked for by netlink: links, addresses, routes and rules as the bodies of requests.

pyroute2 knows how the kernel wants them laid out.
"""

import socket
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # type: ignore[import-untyped]

from xds_server.datapath.netlink import HEADER
from xds_server.datapath.program import PROTOCOL, Link, PolicyRule, Route, TunnelType

NEW_LINK, DELETE_LINK, GET_LINK = 16, 17, 18
NEW_ADDRESS, GET_ADDRESS = 20, 22
NEW_ROUTE, DELETE_ROUTE, GET_ROUTE = 24, 25, 26
NEW_RULE, DELETE_RULE, GET_RULE = 32, 33, 34

UP = 0x1
ONLINK = 0x4
UNICAST, LOCAL, BLACKHOLE = 1, 2, 6
UNIVERSE_SCOPE, LINK_SCOPE, HOST_SCOPE = 0, 253, 254
TO_TABLE, GOTO = 1, 2
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}
"""Of ``ipproto`` in a rule."""

_ONE_BYTE = 256
_COMPAT_TABLE = 252
"""Stands where a table's number has no room."""


def family_of(version: int) -> int:
    return int(socket.AF_INET6 if version == 6 else socket.AF_INET)


def new_link(link: Link) -> bytes:
    """Return a request for a tunnel, up and of its MTU from the start."""
    info = {"attrs": [("IFLA_INFO_KIND", link.type.value), ("IFLA_INFO_DATA", {"attrs": _tunnel(link)})]}
    message = ifinfmsg()
    message["flags"] = message["change"] = UP if link.up else 0
    attributes = [
        ("IFLA_IFNAME", link.name),
        ("IFLA_MTU", link.mtu),
        ("IFLA_ADDRESS", link.mac),
        ("IFLA_LINKINFO", info),
    ]
    return _body(message, attributes)


def named_link(name: str) -> bytes:
    return _body(ifinfmsg(), [("IFLA_IFNAME", name)])


def new_address(link: Link, index: int) -> bytes:
    message, address = ifaddrmsg(), link.address
    message["family"] = family_of(address.version)
    message["prefixlen"] = address.network.prefixlen
    message["index"] = index
    return _body(message, [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))])


def route(wanted: Route, device: int) -> bytes:
    """Return a route, to be made or deleted; ``device`` is the number of its link, 0 for a blackhole."""
    message = rtmsg()
    message["family"] = family_of(wanted.family)
    message["dst_len"] = wanted.destination.prefixlen if wanted.destination else 0
    message["table"] = wanted.table if wanted.table < _ONE_BYTE else _COMPAT_TABLE
    message["proto"] = PROTOCOL
    message["scope"] = _scope(wanted)
    message["type"] = BLACKHOLE if wanted.blackhole else LOCAL if wanted.local else UNICAST
    message["flags"] = ONLINK if wanted.onlink else 0
    attributes: list[tuple[str, Any]] = [("RTA_TABLE", wanted.table)]
    if wanted.destination:
        attributes.append(("RTA_DST", str(wanted.destination.network_address)))
    if wanted.via:
        attributes.append(("RTA_GATEWAY", str(wanted.via)))
    if wanted.src:
        attributes.append(("RTA_PREFSRC", str(wanted.src)))
    if device:
        attributes.append(("RTA_OIF", device))
    return _body(message, attributes)


def rule(wanted: PolicyRule) -> bytes:
    """Return a rule, to be made or deleted."""
    message = fibmsg()
    message["family"] = family_of(wanted.family)
    message["table"] = wanted.table if wanted.table < _ONE_BYTE else _COMPAT_TABLE
    message["action"] = GOTO if wanted.goto else TO_TABLE
    attributes: list[tuple[str, Any]] = [("FRA_PRIORITY", wanted.priority), ("FRA_PROTOCOL", PROTOCOL)]
    attributes.append(("FRA_GOTO", wanted.goto) if wanted.goto else ("FRA_TABLE", wanted.table))
    if wanted.fwmark:
        attributes += [("FRA_FWMARK", wanted.fwmark.value), ("FRA_FWMASK", wanted.fwmark.mask)]
    if wanted.ipproto:
        attributes.append(("FRA_IP_PROTO", PROTOCOLS[wanted.ipproto]))
    return _body(message, attributes)


def all_of(version: int, *, protocol: int = 0, table: int = 0) -> bytes:
    """Return a request for the routes of a family that have this protocol or are in this table."""
    message = rtmsg()
    message["family"] = family_of(version)
    message["proto"] = protocol
    return _body(message, [("RTA_TABLE", table)] if table else [])


def all_rules_of(version: int) -> bytes:
    message = fibmsg()
    message["family"] = family_of(version)
    return _body(message, [])


def all_links() -> bytes:
    return _body(ifinfmsg(), [])


def all_addresses() -> bytes:
    return _body(ifaddrmsg(), [])


def _tunnel(link: Link) -> list[tuple[str, Any]]:
    six = link.remote.version == 6
    if link.type is TunnelType.GENEVE:
        remote, kind = "IFLA_GENEVE_REMOTE6" if six else "IFLA_GENEVE_REMOTE", "GENEVE"
    else:
        remote, kind = "IFLA_VXLAN_GROUP6" if six else "IFLA_VXLAN_GROUP", "VXLAN"
    return [(f"IFLA_{kind}_ID", link.vni), (remote, str(link.remote)), (f"IFLA_{kind}_PORT", link.port)]


def _scope(wanted: Route) -> int:
    if wanted.family == 6 or wanted.blackhole:
        return UNIVERSE_SCOPE
    if wanted.local:
        return HOST_SCOPE
    return LINK_SCOPE if wanted.scope_link else UNIVERSE_SCOPE


def _body(message: Any, attributes: list[tuple[str, Any]]) -> bytes:
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data)[HEADER.size :]
