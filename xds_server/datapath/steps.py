"""
The steps of a plan: each is one thing the kernel does as a whole, and can be told as commands.

``text`` is what a person would type to the same effect. Texts for ``iptables-restore`` and ``ipset
restore`` are what these programs are given on standard input. Steps are pure values; ``execute``
carries them out.
"""

from dataclasses import dataclass
from typing import TypeAlias

from xds_server.datapath.program import Address, Link, Mark, PolicyRule, Route, Sysctl, Table


@dataclass(frozen=True, slots=True)
class SetSysctl:
    sysctl: Sysctl
    before: str = ""
    """What it was, for the way back."""


@dataclass(frozen=True, slots=True)
class RestoreSets:
    """One ``ipset restore -exist`` with these lines."""

    lines: tuple[str, ...]
    family: int = 4


@dataclass(frozen=True, slots=True)
class AddLink:
    """Make a link, give it its address and MTU, and set it up."""

    link: Link


@dataclass(frozen=True, slots=True)
class DeleteLink:
    link: Link


@dataclass(frozen=True, slots=True)
class ReplaceRoute:
    route: Route


@dataclass(frozen=True, slots=True)
class DeleteRoute:
    route: Route


@dataclass(frozen=True, slots=True)
class AddRule:
    rule: PolicyRule


@dataclass(frozen=True, slots=True)
class DeleteRule:
    rule: PolicyRule


@dataclass(frozen=True, slots=True)
class RestoreTable:
    """One ``iptables-restore -w --noflush`` of these lines, ``*table`` to ``COMMIT``: all or nothing."""

    table: Table
    lines: tuple[str, ...]
    family: int = 4


@dataclass(frozen=True, slots=True)
class TagConnections:
    """
    Put a mark on the connections that pods already have, so that these are let pass to their end.

    Concerns each conntrack entry that has one of the addresses as its source, its destination or the
    source of its replies, and none of the mask's bits in its ctmark: what came out of the proxy, or is let
    pass already, stays as it is.
    """

    addresses: tuple[Address, ...]
    mark: Mark


Step: TypeAlias = (
    SetSysctl
    | RestoreSets
    | AddLink
    | DeleteLink
    | ReplaceRoute
    | DeleteRoute
    | AddRule
    | DeleteRule
    | RestoreTable
    | TagConnections
)
