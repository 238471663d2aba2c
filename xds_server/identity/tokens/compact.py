"""A token taken apart, strictly: what could be read in two ways is refused before anything is believed."""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.tokens.limits import LONGEST_TOKEN

_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_LONGEST_KID = 256
_END_OF_TIME = 253_402_300_800.0
"""The year 10000, after which a time has no date."""


@dataclass(frozen=True, slots=True, repr=False)
class CompactToken:
    """Header and payload as they stand in the token: nothing here is proved. Kept out of every ``repr``."""

    text: str
    algorithm: str
    kid: str
    """Empty when the token names no key."""
    issuer: str
    payload: dict[str, Any]


def check_text(token: str) -> bytes:
    """
    Return the bytes of what may be a token; cheap, for it is asked of every call.

    Raises:
        UnauthenticatedError: it is too long, or not even ASCII.

    """
    if len(token) > LONGEST_TOKEN:
        raise UnauthenticatedError(
            f"the token is too long: {len(token)} characters, expected at most {LONGEST_TOKEN}"
        )
    if not token.isascii():
        refuse("not ASCII")
    return token.encode("ascii")


def read_compact(token: str) -> CompactToken:
    """
    Take a token apart.

    Raises:
        UnauthenticatedError: it is no JSON Web Token, or an ambiguous one.

    """
    found = _FORM.fullmatch(token)
    if found is None:
        if not token:
            refuse("empty")
        refuse("white space in it" if len(token.split()) != 1 or token != token.strip() else "no JWT")
    header, payload = _object(found[1], "header"), _object(found[2], "payload")
    if header.keys() & {"crit", "b64", "zip", "enc"}:
        refuse("a header that asks for more than a signature")
    algorithm, kid, issuer = header.get("alg"), header.get("kid", ""), payload.get("iss")
    if not isinstance(algorithm, str) or not isinstance(kid, str) or len(kid) > _LONGEST_KID:
        refuse("a header without a usable alg or kid")
    if not isinstance(issuer, str):
        refuse("no issuer (iss)")
    return CompactToken(token, algorithm, kid, issuer, payload)


def read_time(payload: dict[str, Any], claim: str) -> float | None:
    """
    Return a time of the payload in seconds since the epoch; None when it has none.

    Raises:
        UnauthenticatedError: the claim is no time.

    """
    value = payload.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _END_OF_TIME:
        refuse(f"a claim {claim} that is no time")
    return float(value)


def refuse(what: str) -> NoReturn:
    raise UnauthenticatedError(f"the token is malformed ({what}): expected one JWT and nothing else")


def _object(segment: str, what: str) -> dict[str, Any]:
    value = _decode(segment)
    if not isinstance(value, dict):
        refuse(f"a {what} that is no unambiguous JSON object")
    return value


def _decode(segment: str) -> object:
    """Return the value of a segment; None when it cannot be read, so that no error carries what it holds."""
    try:
        text = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode("utf-8")
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _no_constant(_name: str) -> NoReturn:
    raise ValueError("JSON has no such number")
