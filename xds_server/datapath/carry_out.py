"""
One step, carried out in the namespace this thread is in.

A step is one request to the kernel, or one run of a tool. What is to go and is gone already is no
failure; what is to come and is in the way is one.
"""

import re
import socket
from errno import EADDRNOTAVAIL, ENODEV, ENOENT, ESRCH

from xds_server.datapath import requests
from xds_server.datapath.commands import commands_of
from xds_server.datapath.conntrack import tag_connections
from xds_server.datapath.kernel import Place, ToolError
from xds_server.datapath.netlink import CREATE, EXCL, REPLACE, RefusedError
from xds_server.datapath.program import Link, Route
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
    TagConnections,
)
from xds_server.datapath.sysctls import write_sysctl
from xds_server.exceptions import KernelError

_GONE = (ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL)
_AT_LINE = re.compile(r"\bline:? (\d+)")


def carry_out(place: Place, step: Step) -> None:
    """
    Do one step.

    Raises:
        KernelError: it was refused, in the words of the kernel or of the tool. Unless the step is a
            ``RestoreSets``, which stops at one of its lines, all is as it was before.

    """
    match step:
        case SetSysctl(sysctl):
            write_sysctl(sysctl)
        case RestoreSets(lines) | RestoreTable(_, lines):
            _restore(place, step, lines)
        case AddLink(link):
            _add_link(place, link)
        case DeleteLink(link):
            _delete(place, requests.DELETE_LINK, requests.named_link(link.name))
        case ReplaceRoute(route):
            body = requests.route(route, _device(route))
            place.netlink.ask(requests.NEW_ROUTE, CREATE | REPLACE, body)
        case DeleteRoute(route):
            # By its number alone: the device may be gone, and its routes with it.
            _delete(place, requests.DELETE_ROUTE, requests.route(route, 0))
        case AddRule(rule):
            place.netlink.ask(requests.NEW_RULE, CREATE | EXCL, requests.rule(rule))
        case DeleteRule(rule):
            _delete(place, requests.DELETE_RULE, requests.rule(rule))
        case TagConnections(addresses, mark):
            tag_connections(addresses, mark)


def label(step: Step, place: int, total: int) -> str:
    """Return what a step is called in messages."""
    match step:
        case RestoreTable(table, _, family):
            words = f"{'ip6tables' if family == 6 else 'iptables'} {table}"
        case RestoreSets():
            words = "ipset"
        case TagConnections(addresses, mark):
            words = f"mark {mark} for the connections of {len(addresses)} addresses"
        case _:
            words = " ".join(commands_of(step)[0].argv)
    return f"step {place} of {total}, {words}"


def _restore(place: Place, step: Step, lines: tuple[str, ...]) -> None:
    for command in commands_of(step, place.kernel.backend):
        try:
            place.said(command.argv, "".join(f"{line}\n" for line in command.stdin))
        except ToolError as error:
            at = _AT_LINE.search(error.ran.stderr)
            number = int(at[1]) if at else 0
            if 0 < number <= len(lines):
                raise KernelError(f"{error}: {lines[number - 1]}") from error
            raise


def _add_link(place: Place, link: Link) -> None:
    place.netlink.ask(requests.NEW_LINK, CREATE | EXCL, requests.new_link(link))
    if link.address.ip.is_unspecified:
        return
    try:
        index = socket.if_nametoindex(link.name)
        place.netlink.ask(requests.NEW_ADDRESS, CREATE | EXCL, requests.new_address(link, index))
    except (OSError, RefusedError) as error:
        _delete(place, requests.DELETE_LINK, requests.named_link(link.name))
        raise KernelError(f"address {link.address}: {error}") from error


def _delete(place: Place, kind: int, body: bytes) -> None:
    try:
        place.netlink.ask(kind, 0, body)
    except RefusedError as error:
        if error.code not in _GONE:
            raise


def _device(route: Route) -> int:
    if not route.device:
        return 0
    try:
        return socket.if_nametoindex(route.device)
    except OSError as error:
        raise KernelError(f"there is no device {route.device}") from error
