"""The difference between what is held and what is wanted, object by object, for people to read."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from xds_server.datapath.observed import Observed
from xds_server.datapath.plan_tables import Positions, wanted_positions
from xds_server.datapath.program import Chain, Link, Program
from xds_server.datapath.words import link_words, route_words, rule_line, rule_words


class Kind(StrEnum):
    """Kinds of objects, in the order they are told in."""

    SYSCTL = "sysctl"
    SET = "set"
    MEMBER = "member"
    LINK = "link"
    ROUTE = "route"
    RULE = "rule"
    CHAIN = "chain"
    JUMP = "jump"


class Sign(StrEnum):
    ADDED = "+"
    DELETED = "-"
    CHANGED = "~"


@dataclass(frozen=True, slots=True)
class Change:
    """One object: ``now`` is empty when it is added, ``wanted`` when it is deleted."""

    kind: Kind
    sign: Sign
    object: str
    now: str = ""
    wanted: str = ""
    rules: tuple[str, ...] = ()
    """Of a chain: its rules that differ, each behind ``+`` or ``-``."""


def changes_between(observed: Observed, desired: Program) -> Iterator[Change]:
    """Yield what differs, kind by kind; nothing when the kernel holds what is wanted."""
    held = observed.held
    yield from _sysctls(held, desired)
    yield from _compared(Kind.SET, _sets(held), _sets(desired))
    yield from _compared(Kind.MEMBER, *_members(held, desired))
    yield from _compared(Kind.LINK, _links(held), _links(desired))
    yield from _compared(Kind.ROUTE, *_routes(held, desired))
    yield from _compared(Kind.RULE, _rules(held), _rules(desired))
    yield from _chains(held, desired)
    yield from _compared(Kind.JUMP, _jumps(observed.jumps), _jumps(wanted_positions(desired)))


def _compared(kind: Kind, now: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[Change]:
    for name in now:
        if name not in wanted:
            yield Change(kind, Sign.DELETED, name, now=now[name])
    for name, text in wanted.items():
        if name not in now:
            yield Change(kind, Sign.ADDED, name, wanted=text)
        elif now[name] != text:
            yield Change(kind, Sign.CHANGED, name, now[name], text)


def _sysctls(held: Program, desired: Program) -> Iterator[Change]:
    """Those not asked for are nobody's: none is ever told as deleted."""
    values = {sysctl.path: sysctl.value for sysctl in held.sysctls}
    wanted = {sysctl.path: sysctl.value for sysctl in desired.sysctls}
    yield from _compared(Kind.SYSCTL, {path: values[path] for path in wanted if path in values}, wanted)


def _sets(program: Program) -> dict[str, str]:
    return {ipset.name: f"hash:ip family {ipset.family}" for ipset in program.sets}


def _members(held: Program, desired: Program) -> tuple[dict[str, str], dict[str, str]]:
    """Return those that differ of sets that stay: others go with their sets."""
    there = {ipset.name: ipset.members for ipset in held.sets}
    now, wanted = dict[str, str](), dict[str, str]()
    for ipset in desired.sets:
        members = there.get(ipset.name, frozenset())
        for found, differing in ((now, members - ipset.members), (wanted, ipset.members - members)):
            for address, comment in sorted(differing, key=str):
                found[f"{ipset.name} {address}"] = comment
    return now, wanted


def _links(program: Program) -> dict[str, str]:
    return {link.name: _link(link) for link in program.links}


def _link(link: Link) -> str:
    state = () if link.up else ("down",)
    return " ".join((*link_words(link), "address", str(link.address), "mtu", str(link.mtu), *state))


def _routes(held: Program, desired: Program) -> tuple[dict[str, str], dict[str, str]]:
    """Return those that differ: nodes have hundreds that are right."""
    there = {route.key: route for route in held.routes}
    same = {route.key for route in desired.routes if there.get(route.key) == route}
    return _routes_but(same, held), _routes_but(same, desired)


def _routes_but(same: Collection[object], program: Program) -> dict[str, str]:
    routes = ((route, _family(route.family)) for route in program.routes if route.key not in same)
    return {
        f"{route.destination or 'default'} table {route.table}{family}": " ".join(route_words(route)) + family
        for route, family in routes
    }


def _rules(program: Program) -> dict[str, str]:
    return {" ".join(rule_words(rule)) + _family(rule.family): "" for rule in program.rules}


def _family(family: int) -> str:
    return " (IPv6)" if family == 6 else ""


def _jumps(positions: Positions) -> dict[str, str]:
    return {
        f"{jump.table} {jump.builtin} to {jump.chain}": ", ".join(str(place) for place in places)
        for jump, places in positions.items()
        if places
    }


def _chains(held: Program, desired: Program) -> Iterator[Change]:
    now, wanted = (_by_place(program) for program in (held, desired))
    for place in (*(place for place in now if place not in wanted), *wanted):
        if now.get(place) == wanted.get(place):
            continue
        sign = Sign.ADDED if place not in now else Sign.DELETED if place not in wanted else Sign.CHANGED
        rules = _differing(_lines(now.get(place)), _lines(wanted.get(place)))
        yield Change(Kind.CHAIN, sign, place, rules=tuple(rules))


def _by_place(program: Program) -> dict[str, Chain]:
    return {f"{chain.table} {chain.name}": chain for chain in program.chains}


def _lines(chain: Chain | None) -> list[str]:
    return [rule_line(rule) for rule in chain.rules] if chain else []


def _differing(now: list[str], wanted: list[str]) -> Iterator[str]:
    for tag, first, last, start, end in SequenceMatcher(None, now, wanted, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (f"- {line}" for line in now[first:last])
            yield from (f"+ {line}" for line in wanted[start:end])
