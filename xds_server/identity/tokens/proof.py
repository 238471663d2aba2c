"""The checks of a token against a key, a time and an audience."""

from datetime import UTC, datetime

import jwt
from jwt.api_jws import PyJWS

from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.tokens.claims import TokenClaims, claims_of_payload
from xds_server.identity.tokens.compact import CompactToken, read_time, refuse
from xds_server.identity.tokens.keys import ALGORITHMS, VerifyKey

_EARLY_SECONDS = 10.0
"""By how much our clock may be behind the issuer's. An expiry has no such leeway."""
_JWS = PyJWS(algorithms=sorted(ALGORITHMS))


def check_signature(token: CompactToken, key: VerifyKey) -> None:
    """
    Check that ``key`` signed the token, by an algorithm that is the key's and not the token's choice.

    Raises:
        UnauthenticatedError: it did not.

    """
    if token.algorithm not in key.algorithms:
        expected = " or ".join(sorted(key.algorithms))
        raise UnauthenticatedError(f"the token's algorithm does not fit its signing key: expected {expected}")
    if not _verifies(token, key):
        raise UnauthenticatedError("the token's signature is not its signing key's")


def check_claims(token: CompactToken, audience: str, now: float) -> TokenClaims:
    """
    Check times and audience and read the claims. Proves nothing by itself, only refuses.

    Raises:
        UnauthenticatedError: the token is not for us, not now or not bound to a pod.

    """
    expires_at = read_time(token.payload, "exp")
    if expires_at is None:
        refuse("no expiry (exp)")
    if expires_at <= now:
        raise UnauthenticatedError(f"the token expired at {_shown(expires_at)}")
    for claim in ("nbf", "iat"):
        begins_at = read_time(token.payload, claim)
        if begins_at is not None and begins_at > now + _EARLY_SECONDS:
            raise UnauthenticatedError(f"the token is not valid before {_shown(begins_at)}")
    intended = token.payload.get("aud")
    if audience not in (intended if isinstance(intended, list) else [intended]):
        raise UnauthenticatedError(f"the token is for another audience: expected {audience!r}")
    return claims_of_payload(token.payload, expires_at)


def _verifies(token: CompactToken, key: VerifyKey) -> bool:
    try:
        _JWS.decode_complete(token.text, key=key.public, algorithms=[token.algorithm])
    except jwt.PyJWTError:
        return False
    return True


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
