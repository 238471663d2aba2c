"""Rules of ``ip rule`` as netlink tells them, those of ours told by their protocol number."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from xds_server.datapath import requests
from xds_server.datapath.netlink import Netlink, RefusedError, attributes
from xds_server.datapath.observe_links import number
from xds_server.datapath.observe_routes import FAMILIES, NOTHING_THERE
from xds_server.datapath.program import PROTOCOL, Mark, PolicyRule

_HEADER = struct.Struct("=BBBBBBBBI")
_GOTO, _PRIORITY, _MARK, _TABLE, _MASK, _OWNER, _PROTOCOL = 4, 6, 10, 15, 16, 21, 22
_SELECTORS = {1: "to", 2: "from", 3: "iif", 17: "oif", 19: "l3mdev", 20: "uidrange", 23: "sport", 24: "dport"}
_INVERTED, _UNRESOLVED = 0x2, 0x4
_ALL_BITS = 0xFFFFFFFF
_PROTOCOL_NAMES = {value: name for name, value in requests.PROTOCOLS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRule:
    """
    A rule of anybody's: ``ours`` when it says what we say.

    ``unresolved`` is one that goes on at a priority at which there is no rule.
    """

    family: int
    priority: int
    protocol: int
    fwmark: Mark | None
    table: int
    text: str
    unresolved: bool = False
    ours: PolicyRule | None = None


def rules_of(netlink: Netlink) -> Iterator[SeenRule]:
    """
    Yield all rules of both families.

    Raises:
        RefusedError: the kernel does not tell.

    """
    for version in FAMILIES:
        try:
            bodies = netlink.dump(requests.GET_RULE, requests.all_rules_of(version))
        except RefusedError as error:
            if error.code in NOTHING_THERE:
                continue
            raise
        yield from (read_rule(body) for body in bodies if body[0] == requests.family_of(version))


def read_rule(body: bytes) -> SeenRule:
    """Return a rule from the body of its message."""
    family, _to, _from, tos, short_table, _one, _two, action, flags = _HEADER.unpack_from(body)
    found = attributes(body, _HEADER.size)
    is_goto = action == requests.GOTO
    rule = PolicyRule(
        priority=number(found.get(_PRIORITY)),
        fwmark=_mark(found),
        ipproto=_ip_protocol(found),
        table=0 if is_goto else number(found[_TABLE]) if _TABLE in found else short_table,
        goto=number(found.get(_GOTO)) if is_goto else 0,
        family=6 if family == requests.family_of(6) else 4,
    )
    protocol = number(found.get(_OWNER))
    selectors = [name for kind, name in _SELECTORS.items() if any(found.get(kind, b""))]
    strange = tos or selectors or flags & _INVERTED or action not in (requests.TO_TABLE, requests.GOTO)
    return SeenRule(
        family=rule.family,
        priority=rule.priority,
        protocol=protocol,
        fwmark=rule.fwmark,
        table=rule.table,
        text=_text(rule, selectors, protocol),
        unresolved=bool(flags & _UNRESOLVED),
        ours=None if strange or protocol != PROTOCOL else rule,
    )


def _mark(found: Mapping[int, bytes]) -> Mark | None:
    value, mask = number(found.get(_MARK)), number(found.get(_MASK))
    return Mark(value, mask or _ALL_BITS) if value or mask else None


def _ip_protocol(found: Mapping[int, bytes]) -> str:
    asked = number(found.get(_PROTOCOL))
    return _PROTOCOL_NAMES.get(asked, str(asked)) if asked else ""


def _text(rule: PolicyRule, selectors: list[str], protocol: int) -> str:
    words = [f"priority {rule.priority}", *(f"{name} ..." for name in selectors)]
    words += [f"fwmark {rule.fwmark}"] if rule.fwmark else []
    words += [f"ipproto {rule.ipproto}"] if rule.ipproto else []
    words.append(f"goto {rule.goto}" if rule.goto else f"lookup {rule.table}")
    return " ".join((*words, f"protocol {protocol}"))
