"""Several programs of one node as one: what is planned as a whole is removed as a whole."""

from collections.abc import Hashable, Iterable
from dataclasses import fields, replace
from typing import Any

from xds_server.datapath.program import Chain, PolicyRule, Program, Route, Sysctl
from xds_server.exceptions import InputError


def combine(first: Program, *others: Program) -> Program:
    """
    Return a program that holds all that these hold, once.

    Raises:
        InputError: two of them want the same object in two ways.

    """
    parts = (first, *others)
    name = "+".join(part.name for part in parts)
    kinds = [each.name for each in fields(Program) if each.name != "name"]
    every: dict[str, Any] = {kind: _once(name, (getattr(part, kind) for part in parts)) for kind in kinds}
    return replace(first, name=name, **every)


def _once(name: str, members: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    held: dict[Hashable, Any] = {}
    for member in (member for each in members for member in each):
        other = held.setdefault(_key(member), member)
        if other is not member and other != member:
            why = f"each wants its own {_told(member)}: expected programs that go together"
            raise InputError(f"programs {name}: {why}")
    return tuple(held.values())


def _key(member: Any) -> Hashable:
    """Return what tells it apart from others of its kind."""
    match member:
        case Route():
            return member.key
        case Sysctl():
            return member.path
    return _told(member)


def _told(member: Any) -> str:
    """Return what the kernel tells objects of this kind apart by."""
    match member:
        case Chain(table, name):
            return f"chain {name} of {table}"
        case Sysctl(path):
            return f"sysctl {path}"
        case Route():
            return f"IPv{member.family} route to {member.destination or 'default'} in table {member.table}"
        case PolicyRule():
            return f"IPv{member.family} rule {member.priority}"
    return f"{type(member).__name__} {getattr(member, 'name', member)}"
