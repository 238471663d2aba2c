"""One source, operation or condition to one ``Match`` (facts wds, 5.3)."""

from typing import Any

from xds_server.exceptions import InputError
from xds_server.mesh.policies.conditions import Conditions, Term
from xds_server.mesh.policies.reading import Reading
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security


def match_of(reading: Reading, parts: object, conditions: Conditions, where: str) -> security.Match | None:
    """
    Convert what must all be true of a connection; None matches every connection.

    A ztunnel takes an empty Match for one that matches nothing. Where nothing is required, that is
    right in an ALLOW only: hence the None.

    Raises:
        InputError: it is part of an ALLOW rule that must be left out.

    """
    given = {} if parts is None else reading.mapping(parts, where)
    if given is None:
        return None
    match = security.Match()
    http = _http(reading, given, conditions, where)
    usable = [
        _add(reading, match, conditions.terms[name], values, f"{where}.{name}")
        for name, values in given.items()
        if name in conditions.terms
    ]
    known = _only_known(reading, given, conditions, where)
    if not any(given.values()):
        met = "every connection meets" if reading.denies else "no connection meets"
        reading.note(f"{where} has no condition: expected some; {met} it")
    if not reading.denies:
        return match if all(usable) else security.Match()
    if match.ByteSize() == 0 and (not http or not known or not all(usable)):
        return None
    if http:
        met = "it denies whatever those are" if match.ByteSize() else "it denies nothing"
        reading.note(f"{where}: a ztunnel cannot judge {http}, a waypoint could; {met}")
    return match


def _http(reading: Reading, given: dict[Any, Any], conditions: Conditions, where: str) -> str:
    """
    Name the parts that need a waypoint.

    Raises:
        InputError: there are some in an ALLOW.

    """
    names = ", ".join(sorted(name for name, values in given.items() if name in conditions.http and values))
    if names and not reading.denies:
        raise InputError(f"{where}: a ztunnel cannot judge {names}, a waypoint could")
    return names


def _only_known(reading: Reading, given: dict[Any, Any], conditions: Conditions, where: str) -> bool:
    known = conditions.terms.keys() | conditions.http
    unknown = [name for name in given if name not in known]
    for name in unknown:
        reading.doubt(f"{where} has {name!r}: expected one of {', '.join(sorted(known))}")
    return not unknown


def _add(reading: Reading, match: security.Match, term: Term, values: object, where: str) -> bool:
    """
    Add the values of one term; return whether ``match`` now says what the term says, or denies more.

    Of some values that cannot be read the others still count where that denies more: an ALLOW
    of fewer, a DENY with fewer exceptions. Else nothing of the term can be kept.
    """
    if values is None:
        return True
    if not isinstance(values, list | tuple):
        reading.doubt_value(where, values, "a list of text")
        return False
    read = []
    for position, value in enumerate(values):
        try:
            read.append(_value(reading, term, value))
        except ValueError:
            reading.doubt_value(f"{where}[{position}]", value, term.attribute.expected)
    if len(read) < len(values) and (not read or term.negative is not reading.denies):
        return False
    getattr(match, term.field).extend(read)
    return True


def _value(reading: Reading, term: Term, value: object) -> Any:
    if not isinstance(value, str):
        raise ValueError
    return term.attribute.read(value, reading.namespace)
