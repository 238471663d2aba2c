"""
Routes as netlink tells them, those of ours told by their protocol number.

They are read by their bytes: pyroute2 takes a tenth of a millisecond for a route, and a node has
hundreds, read each time something changes.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from errno import EAFNOSUPPORT, ENOENT, EOPNOTSUPP
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from xds_server.datapath import requests
from xds_server.datapath.netlink import Netlink, RefusedError, attributes
from xds_server.datapath.observe_links import Device, address, number, unpacked
from xds_server.datapath.program import MAIN, PROTOCOL, Address, Network, Route

FAMILIES = (4, 6)
NOTHING_THERE = (ENOENT, EAFNOSUPPORT, EOPNOTSUPP)
"""What the kernel answers for a table it does not have, or a family."""

_HEADER = struct.Struct("=BBBBBBBBI")
_SHORT_TABLE = 4
"""Where the header has a table's number, if it is a small one."""
_HOST_LENGTH = {4: 32, 6: 128}
_DESTINATION, _DEVICE, _GATEWAY, _METRIC, _SOURCE, _TABLE = 1, 4, 5, 6, 7, 15
_NEVER_OURS = (8, 9, 18, 22, 30)
"""Metrics, several next hops, a gateway of the other family, an encapsulation, a next hop by number."""
_KINDS = {requests.UNICAST: "", requests.LOCAL: "local ", requests.BLACKHOLE: "blackhole "}
_DEFAULT_METRIC = {4: 0, 6: 1024}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRoute:
    """A route of anybody's: ``ours`` when it says what we say, else only what names it."""

    family: int
    table: int
    protocol: int
    destination: Network | None
    text: str
    device: str = ""
    """Of one that leads to it without a gateway."""
    ours: Route | None = None


def routes_of(
    netlink: Netlink, version: int, devices: Mapping[int, Device], *, protocol: int = 0, table: int = 0
) -> Iterator[SeenRoute]:
    """
    Yield the routes of a family that have a protocol, or those in a table that are not of ours.

    Raises:
        RefusedError: the kernel does not tell.

    """
    for body in _bodies(netlink, version, protocol=protocol, table=table):
        seen = read_route(body, devices)
        if table in (0, seen.table):
            yield seen


def host_routes_of(netlink: Netlink, version: int, names: Mapping[int, str]) -> Iterator[tuple[Address, str]]:
    """
    Yield each address that others' routes in the table ``main`` lead to by a device, with that device's name.

    Raises:
        RefusedError: the kernel does not tell.

    """
    for body in _bodies(netlink, version, table=MAIN):
        _family, length, _from, _tos, _table, _protocol, _scope, kind, _flags = _HEADER.unpack_from(body)
        if length == _HOST_LENGTH[version] and kind == requests.UNICAST:
            found = attributes(body, _HEADER.size)
            device = names.get(number(found.get(_DEVICE)), "")
            if device and _GATEWAY not in found and _table_of(body, found) == MAIN:
                yield unpacked(found[_DESTINATION]), device


def read_route(body: bytes, devices: Mapping[int, Device]) -> SeenRoute:
    """Return a route from the body of its message."""
    family, length, _from, tos, _table, protocol, scope, kind, flags = _HEADER.unpack_from(body)
    found = attributes(body, _HEADER.size)
    version = 6 if family == requests.family_of(6) else 4
    network = IPv6Network if version == 6 else IPv4Network
    device = devices.get(number(found.get(_DEVICE)))
    gateway = address(found.get(_GATEWAY))
    destination = network((found.get(_DESTINATION, b"\0" * (16 if version == 6 else 4)), length))
    said: dict[str, Any] = {
        "table": _table_of(body, found),
        "destination": destination if length else None,
        "via": gateway,
        "device": device.name if device and kind != requests.BLACKHOLE else "",
        "src": address(found.get(_SOURCE)),
        "scope_link": _is_on_link(version, scope, kind, gateway is not None),
        "onlink": bool(flags & requests.ONLINK),
        "local": kind == requests.LOCAL,
        "blackhole": kind == requests.BLACKHOLE,
        "family": version,
    }
    strange = (
        kind not in _KINDS
        or tos
        or any(each in found for each in _NEVER_OURS)
        or number(found.get(_METRIC)) != _DEFAULT_METRIC[version]
        or not (said["device"] or said["blackhole"])
    )
    return SeenRoute(
        family=version,
        table=said["table"],
        protocol=protocol,
        destination=said["destination"],
        text=_text(_KINDS.get(kind, f"type {kind} "), said, protocol),
        device=said["device"] if kind == requests.UNICAST and gateway is None else "",
        ours=None if strange or protocol != PROTOCOL else Route(**said),
    )


def _bodies(netlink: Netlink, version: int, *, protocol: int = 0, table: int = 0) -> Iterator[bytes]:
    asked = requests.all_of(version, protocol=protocol, table=table)
    try:
        bodies = netlink.dump(requests.GET_ROUTE, asked)
    except RefusedError as error:
        if error.code in NOTHING_THERE:
            return
        raise
    for body in bodies:
        # An old kernel tells of all, whatever is asked for, and one without a family of the others.
        is_asked_for = (body[5] == PROTOCOL) == (protocol == PROTOCOL)
        if is_asked_for and body[0] == requests.family_of(version):
            yield body


def _table_of(body: bytes, found: Mapping[int, bytes]) -> int:
    return number(found[_TABLE]) if _TABLE in found else body[_SHORT_TABLE]


def _is_on_link(version: int, scope: int, kind: int, has_gateway: bool) -> bool:
    if version == 6:  # it has no scopes
        return kind == requests.UNICAST and not has_gateway
    return kind == requests.UNICAST and scope == requests.LINK_SCOPE


def _text(kind: str, said: Mapping[str, Any], protocol: int) -> str:
    words = [f"{kind}{said['destination'] or 'default'}"]
    words += [f"via {said['via']}"] if said["via"] else []
    words += [f"dev {said['device']}"] if said["device"] else []
    return " ".join((*words, f"table {said['table']}", f"proto {protocol}"))
