"""One rule of an AuthorizationPolicy to one group: its clauses must all match (facts wds, 5.3)."""

from typing import Any, NamedTuple

from xds_server.exceptions import InputError
from xds_server.mesh.policies.conditions import OF_REQUESTS, OPERATION, SOURCE, WHEN, Conditions
from xds_server.mesh.policies.matches import match_of
from xds_server.mesh.policies.reading import Reading, shown
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security


class _Part(NamedTuple):
    """A list of alternatives in a rule: ``from[].source``, ``to[].operation``."""

    name: str
    member: str
    conditions: Conditions


_FROM = _Part("from", "source", SOURCE)
_TO = _Part("to", "operation", OPERATION)
_KNOWN = ("from", "to", "when")


def group_of(reading: Reading, rule: object, where: str) -> security.Group | None:
    """Convert a rule; None where it is an ALLOW that cannot be kept, and so is left out."""
    try:
        given = reading.mapping(rule, where)
        clauses = [] if given is None else _clauses(reading, given, where)
    except InputError as problem:
        reading.note(f"{problem}; the rule allows nothing")
        return None
    return security.Group(rules=[security.Rules(matches=matches) for matches in clauses if matches])


def _clauses(reading: Reading, rule: dict[Any, Any], where: str) -> list[list[security.Match]]:
    """Return alternatives for each clause; none for a clause that every connection meets."""
    for name in rule:
        if name not in _KNOWN:
            reading.doubt(f"{where} has {name!r}: expected one of {', '.join(_KNOWN)}")
    conditions = reading.items(rule.get("when"), f"{where}.when")
    return [
        _alternatives(reading, rule.get("to"), _TO, where),
        _alternatives(reading, rule.get("from"), _FROM, where),
        *(_condition(reading, item, f"{where}.when[{at}]") for at, item in enumerate(conditions)),
    ]


def _alternatives(reading: Reading, given: object, part: _Part, where: str) -> list[security.Match]:
    matches = []
    for position, item in enumerate(reading.items(given, f"{where}.{part.name}")):
        here = f"{where}.{part.name}[{position}]"
        entry = reading.mapping(item, here) or {}
        for name in entry:
            if name != part.member:
                reading.doubt(f"{here} has {name!r}: expected only {part.member}")
        matches.append(match_of(reading, entry.get(part.member), part.conditions, f"{here}.{part.member}"))
    return [] if None in matches else [match for match in matches if match is not None]


def _condition(reading: Reading, item: object, where: str) -> list[security.Match]:
    given = reading.mapping(item, where)
    if given is None:
        return []
    key = given.get("key")
    if isinstance(key, str) and OF_REQUESTS.fullmatch(key):
        return [_of_request(reading, key, where)]
    if not isinstance(key, str) or key not in WHEN:
        reading.doubt(f"{where}.key is {shown(key)}: expected one of {', '.join(WHEN)} or of a request's")
        return []
    values = {name: value for name, value in given.items() if name != "key"}
    match = match_of(reading, values, WHEN[key], where)
    return [] if match is None else [match]


def _of_request(reading: Reading, key: str, where: str) -> security.Match:
    """
    Return what a ztunnel makes of an attribute of requests: it is never met.

    Raises:
        InputError: it is in an ALLOW, whose rule must then be left out.

    """
    problem = f"{where}.key is {key!r}: a ztunnel cannot judge it, a waypoint could"
    if not reading.denies:
        raise InputError(problem)
    reading.note(f"{problem}; the rule denies nothing")
    return security.Match()
