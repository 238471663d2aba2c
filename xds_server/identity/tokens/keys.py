"""Keys that verify tokens, each with the algorithms that fit it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PublicKey = EllipticCurvePublicKey | RSAPublicKey

ALGORITHMS = frozenset({"ES256", "ES384", "RS256", "RS384", "RS512"})
_BY_CURVE = {"secp256r1": frozenset({"ES256"}), "secp384r1": frozenset({"ES384"})}
_RSA = frozenset({"RS256", "RS384", "RS512"})
_NONE: frozenset[str] = frozenset()
_SMALLEST_RSA_BITS = 2_048
_LARGEST_RSA_BITS = 8_192
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key and the algorithms it may verify; never more than its type allows."""

    public: PublicKey
    algorithms: frozenset[str]


class Issuer(Protocol):
    """Who makes tokens, and with which keys. Asked on every proof, so it is quick and never waits."""

    @property
    def name(self) -> str:
        """What stands in the claim ``iss``."""

    def key(self, kid: str) -> VerifyKey | None:
        """Return the key of that name, if it is in use."""


def keys_of_jwks(jwks: Mapping[str, Any]) -> dict[str, VerifyKey]:
    """Return the usable keys of a JSON Web Key Set by ``kid``; others are left out, of two namesakes both."""
    listed = jwks.get("keys")
    keys: dict[str, VerifyKey] = {}
    twice: set[str] = set()
    for item in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        kid = item.get("kid") if isinstance(item, dict) else None
        if not isinstance(kid, str) or not kid:
            continue
        key = _key(item)
        if key is not None and kid in keys:
            twice.add(kid)
        elif key is not None:
            keys[kid] = key
    return {kid: key for kid, key in keys.items() if kid not in twice}


def fitting_algorithms(public: PublicKey) -> frozenset[str]:
    """Return the algorithms a key can verify; none for a weak or an odd one."""
    if isinstance(public, EllipticCurvePublicKey):
        return _BY_CURVE.get(public.curve.name, _NONE)
    return _RSA if _SMALLEST_RSA_BITS <= public.key_size <= _LARGEST_RSA_BITS else _NONE


def _key(item: dict[str, Any]) -> VerifyKey | None:
    if item.get("use", "sig") != "sig":
        return None
    # Without a private part, whatever was published by mistake.
    public = _public_key({name: value for name, value in item.items() if name != "d"})
    fitting = fitting_algorithms(public) if public is not None else _NONE
    algorithm = item.get("alg")
    if algorithm is not None:
        fitting &= {str(algorithm)}
    return VerifyKey(public, fitting) if public is not None and fitting else None


def _public_key(item: dict[str, Any]) -> PublicKey | None:
    kinds = {"EC": ECAlgorithm.from_jwk, "RSA": RSAAlgorithm.from_jwk}
    make = kinds.get(str(item.get("kty")))
    if make is None:
        return None
    try:
        return cast(PublicKey, make(item))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
