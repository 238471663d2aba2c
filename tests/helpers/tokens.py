"""Tokens good and bad, the keys that sign them, and a cluster that says what it is told to say."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from xds_server.exceptions import ClusterError
from xds_server.identity.caller import BoundPod
from xds_server.identity.tokens.claims import TokenClaims
from xds_server.identity.tokens.cluster_keys import PublishedKeys

NOW = 1_800_000_000.0
CLUSTER_ISSUER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "istio-ca"
UID = "2727aab4-363e-4b67-9c27-02cd0ab87d0b"
CLAIMS = TokenClaims("istio-system", "ztunnel", BoundPod("istio-system/ztunnel-b4n8k", UID), NOW + 3_600)

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}


class Clock:
    """A time that passes when the test says so."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@cache
def ec_key(name: str = "first", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    """Return the same key for the same name."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 8
    return ec.derive_private_key(number, curve())


@cache
def rsa_key(bits: int = 2_048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


def bound_payload(issuer: str = CLUSTER_ISSUER, **changes: Any) -> dict[str, Any]:
    """Return what Kubernetes puts into a token bound to a pod, changed; ``None`` takes a claim away."""
    payload = {
        "aud": [AUDIENCE],
        "exp": int(NOW) + 3_600,
        "iat": int(NOW),
        "iss": issuer,
        "jti": "8b6dd8f5-64f7-4a6a-9b0c-2f1f3f3c5a51",
        "kubernetes.io": {
            "namespace": "istio-system",
            "node": {"name": "dpu-a", "uid": "a5a2b1c4-0d0e-4e7c-9c1a-111111111111"},
            "pod": {"name": "ztunnel-b4n8k", "uid": UID},
            "serviceaccount": {"name": "ztunnel", "uid": "b5a2b1c4-0d0e-4e7c-9c1a-222222222222"},
        },
        "nbf": int(NOW),
        "sub": "system:serviceaccount:istio-system:ztunnel",
        **changes,
    }
    return {name: value for name, value in payload.items() if value is not None}


def bound(**changes: Any) -> dict[str, Any]:
    """Return the claim ``kubernetes.io``, changed; ``None`` takes a part away."""
    parts = {**bound_payload()["kubernetes.io"], **changes}
    return {name: value for name, value in parts.items() if value is not None}


def segment(content: bytes | str | Mapping[str, Any]) -> str:
    """Return one part of a token: base64url without padding."""
    text = content if isinstance(content, bytes | str) else json.dumps(content)
    return base64.urlsafe_b64encode(text.encode() if isinstance(text, str) else text).rstrip(b"=").decode()


def sign(
    payload: Mapping[str, Any] | str,
    key: PrivateKey | None = None,
    kid: str | None = "first",
    algorithm: str = "ES256",
    header: Mapping[str, Any] | str | None = None,
) -> str:
    """Sign anything, sense or not; a text goes in as it stands."""
    head = {"alg": algorithm, "kid": kid} if kid is not None else {"alg": algorithm}
    signed = f"{segment(head if header is None else header)}.{segment(payload)}"
    return f"{signed}.{segment(signature(signed.encode(), key or ec_key(), algorithm))}"


def signature(content: bytes, key: PrivateKey, algorithm: str) -> bytes:
    digest = _HASHES[algorithm[2:]]()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), digest)
    r, s = decode_dss_signature(key.sign(content, ec.ECDSA(digest)))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def jwk(kid: str, key: PrivateKey, **more: Any) -> dict[str, Any]:
    """Return the public key as a cluster publishes it."""
    public = key.public_key()
    made = (
        ECAlgorithm.to_jwk(public, as_dict=True)
        if isinstance(public, ec.EllipticCurvePublicKey)
        else RSAAlgorithm.to_jwk(public, as_dict=True)
    )
    return {**made, "kid": kid, "use": "sig", **more}


def published(**keys: PrivateKey) -> PublishedKeys:
    return PublishedKeys({"keys": [jwk(kid, key) for kid, key in keys.items()]}, CLUSTER_ISSUER)


def accepted(audience: str = AUDIENCE, **changes: Any) -> dict[str, Any]:
    """Return the status of a TokenReview that confirms ``bound_payload()``; changes are of its user."""
    user = {
        "username": "system:serviceaccount:istio-system:ztunnel",
        "uid": "b5a2b1c4-0d0e-4e7c-9c1a-222222222222",
        "groups": ["system:serviceaccounts", "system:serviceaccounts:istio-system", "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/pod-name": ["ztunnel-b4n8k"],
            "authentication.kubernetes.io/pod-uid": [UID],
        },
        **changes,
    }
    return {"authenticated": True, "user": user, "audiences": [audience]}


class ScriptedCluster:
    """Answers at once while ``open`` is set, and else when it is."""

    def __init__(self, status: dict[str, Any] | ClusterError | None = None) -> None:
        self.status: dict[str, Any] | ClusterError = accepted() if status is None else status
        self.published: PublishedKeys | ClusterError = ClusterError("GET /openid/v1/jwks: not published")
        self.open = asyncio.Event()
        self.open.set()
        self.reviewed: list[str] = []
        self.audiences: set[tuple[str, ...]] = set()
        self.keys_asked = 0
        self.in_flight = 0
        self.most_in_flight = 0

    async def keys(self) -> PublishedKeys:
        self.keys_asked += 1
        await self.open.wait()
        if isinstance(self.published, ClusterError):
            raise self.published
        return self.published

    async def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any]:
        self.reviewed.append(token)
        self.audiences.add(tuple(audiences))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.open.wait()
        finally:
            self.in_flight -= 1
        if isinstance(self.status, ClusterError):
            raise self.status
        return self.status
