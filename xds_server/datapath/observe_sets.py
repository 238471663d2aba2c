"""Sets as ``ipset save`` prints them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from xds_server.datapath.program import Address, IpSet

_MEMBER = re.compile(r'add (\S+) (\S+)(?: .*?comment "([^"]*)")?')
_TYPE = "hash:ip"


@dataclass(frozen=True, slots=True)
class SeenSet:
    """A set by one of our names; ``strange`` is what it has that ours do not, or lacks."""

    ipset: IpSet
    strange: str = ""


@dataclass(slots=True)
class _Reading:
    family: str
    strange: str
    members: set[tuple[Address, str]] = field(default_factory=set)


def read_sets(saved: str) -> Iterator[SeenSet]:
    """Yield the sets in what ``ipset save`` printed."""
    found: dict[str, _Reading] = {}
    for line in saved.splitlines():
        if line.startswith("create "):
            _, name, kind, *options = line.split()
            family = options[options.index("family") + 1] if "family" in options else "inet"
            found[name] = _Reading(family, _strange(kind, options))
        elif (member := _MEMBER.match(line)) and (reading := found.get(member[1])) and not reading.strange:
            reading.members.add((ip_address(member[2]), member[3] or ""))
    for name, reading in found.items():
        yield SeenSet(IpSet(name, frozenset(reading.members), reading.family), reading.strange)


def _strange(kind: str, options: list[str]) -> str:
    if kind != _TYPE:
        return f"its type is {kind}, not {_TYPE}"
    if "comment" not in options:
        return "its members have no comments"
    for option in ("timeout", "netmask", "bitmask"):
        if option in options:
            return f"it has a {option}"
    return ""
