"""Which tokens prove something where their signing key is known, and what is said of the others."""

import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.helpers.tokens import (
    CLAIMS,
    NOW,
    Clock,
    PrivateKey,
    ScriptedCluster,
    bound,
    bound_payload,
    ec_key,
    jwk,
    published,
    rsa_key,
    segment,
    sign,
)
from xds_server.exceptions import ClusterError, UnauthenticatedError
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.cluster_keys import PublishedKeys
from xds_server.identity.tokens.keys import keys_of_jwks

GOOD = bound_payload()
KEYS: dict[str, PrivateKey] = {"first": ec_key(), "p384": ec_key("p384", ec.SECP384R1), "rsa": rsa_key()}


def authenticator(clock: Clock | None = None) -> TokenAuthenticator:
    """Return one to whom the cluster has published KEYS, and which cannot have a token reviewed."""
    cluster = ScriptedCluster(ClusterError("a review is not expected"))
    cluster.published = published(**KEYS)
    return TokenAuthenticator("istio-ca", clusters={"": cluster}, clock=clock or Clock())


async def refusal(token: str, clock: Clock | None = None) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        await authenticator(clock).authenticate(token)
    return str(caught.value)


def public_pem() -> bytes:
    return (
        ec_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def hs256(secret: bytes, kid: str = "first") -> str:
    signed = f"{segment({'alg': 'HS256', 'kid': kid})}.{segment(GOOD)}"
    return f"{signed}.{segment(hmac.digest(secret, signed.encode(), 'sha256'))}"


@pytest.mark.parametrize(
    ("kid", "algorithm"),
    [("first", "ES256"), ("p384", "ES384"), ("rsa", "RS256"), ("rsa", "RS384"), ("rsa", "RS512")],
)
async def test_a_bound_token_signed_by_a_published_key_proves_account_and_pod(
    kid: str, algorithm: str
) -> None:
    token = sign(GOOD, KEYS[kid], kid, algorithm)
    assert await authenticator().authenticate(token) == CLAIMS


TIMES: list[tuple[str, dict[str, Any], str]] = [
    ("expired", {"exp": int(NOW) - 1}, "the token expired at 2027-01-15T07:59:59Z"),
    ("expiring this very second", {"exp": int(NOW)}, "the token expired at 2027-01-15T08:00:00Z"),
    ("not yet", {"nbf": int(NOW) + 11}, "the token is not valid before 2027-01-15T08:00:11Z"),
    ("from the future", {"iat": int(NOW) + 11}, "the token is not valid before 2027-01-15T08:00:11Z"),
    ("for ever", {"exp": None}, "no expiry (exp)"),
    ("to the year 10000", {"exp": 253_402_300_800}, "a claim exp that is no time"),
    ("a truth for a time", {"exp": True}, "a claim exp that is no time"),
    ("a text for a time", {"nbf": "soon"}, "a claim nbf that is no time"),
    ("before all time", {"iat": -1}, "a claim iat that is no time"),
]
AUDIENCES: list[tuple[str, dict[str, Any], str]] = [
    ("another audience", {"aud": ["api"]}, "the token is for another audience: expected 'istio-ca'"),
    ("no audience", {"aud": None}, "the token is for another audience: expected 'istio-ca'"),
    ("an audience of another kind", {"aud": {"istio-ca": 1}}, "another audience"),
    ("part of an audience", {"aud": "istio-ca-2"}, "another audience"),
]
SUBJECTS: list[tuple[str, dict[str, Any], str]] = [
    ("no pod", {"kubernetes.io": bound(pod=None)}, "the token is not bound to a pod"),
    ("bound to a Secret", {"kubernetes.io": bound(pod=None, secret={"name": "s"})}, "not bound to a pod"),
    ("no account", {"kubernetes.io": bound(serviceaccount=None)}, "no service account's"),
    ("no Kubernetes claims", {"kubernetes.io": None}, "no service account's"),
    ("odd Kubernetes claims", {"kubernetes.io": ["pod"]}, "no service account's"),
    ("a subject of another account", {"sub": "system:serviceaccount:default:ztunnel"}, "contradicts itself"),
    ("a subject of no account", {"sub": "system:node:dpu-a"}, "contradicts itself"),
    ("no subject", {"sub": None}, "contradicts itself"),
    ("a namespace with a path", {"kubernetes.io": bound(namespace="a/b")}, "no valid service account"),
    (
        "an account with a path",
        {"kubernetes.io": bound(serviceaccount={"name": "../x"})},
        "no valid service account",
    ),
    (
        "an account in capitals",
        {"kubernetes.io": bound(serviceaccount={"name": "A"})},
        "no valid service account",
    ),
    ("a number for a name", {"kubernetes.io": bound(namespace=5)}, "no valid service account"),
    (
        "a newline in a name",
        {"kubernetes.io": bound(serviceaccount={"name": "a\n"})},
        "no valid service account",
    ),
    (
        "a long name",
        {"kubernetes.io": bound(serviceaccount={"name": "a." * 127 + "a"})},
        "no valid service account",
    ),
    ("no name of a pod", {"kubernetes.io": bound(pod={"uid": "u"})}, "no valid pod"),
    ("a pod with a path", {"kubernetes.io": bound(pod={"name": "p/../q", "uid": "u"})}, "no valid pod"),
    ("a pod without UID", {"kubernetes.io": bound(pod={"name": "p"})}, "names no pod UID"),
    ("an empty UID", {"kubernetes.io": bound(pod={"name": "p", "uid": ""})}, "names no pod UID"),
    ("an odd UID", {"kubernetes.io": bound(pod={"name": "p", "uid": "u v"})}, "names no pod UID"),
    ("a long UID", {"kubernetes.io": bound(pod={"name": "p", "uid": "u" * 129})}, "names no pod UID"),
    ("a list for a UID", {"kubernetes.io": bound(pod={"name": "p", "uid": ["u"]})}, "names no pod UID"),
]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [pytest.param(*case, id=name) for name, *case in [*TIMES, *AUDIENCES, *SUBJECTS]],
)
async def test_a_signed_token_with_wrong_claims_is_refused_with_the_reason(
    changes: dict[str, Any], reason: str
) -> None:
    assert reason in await refusal(sign(bound_payload(**changes)))


@pytest.mark.parametrize(
    "changes",
    [{"aud": "istio-ca"}, {"aud": ["api", "istio-ca"]}, {"nbf": int(NOW) + 10}, {"iat": NOW + 9.5}],
    ids=["one audience as a text", "several audiences", "a clock 10 s ahead", "a fraction of a second"],
)
async def test_what_an_issuer_may_write_otherwise_is_accepted(changes: dict[str, Any]) -> None:
    assert await authenticator().authenticate(sign(bound_payload(**changes))) == CLAIMS


def with_signature(token: str, signature: str) -> str:
    return f"{token.rpartition('.')[0]}.{signature}"


CONFUSED = [
    ("signed by another", sign(GOOD, ec_key("other")), "signature is not its signing key's"),
    ("a signature of zeros", with_signature(sign(GOOD), segment(bytes(64))), "signature is not"),
    ("half a signature", with_signature(sign(GOOD), segment(bytes(32))), "signature is not"),
    (
        "another token's signature",
        with_signature(sign(GOOD), sign({}).rpartition(".")[2]),
        "signature is not",
    ),
    ("none", f"{segment({'alg': 'none', 'kid': 'first'})}.{segment(GOOD)}.{segment('x')}", "does not fit"),
    ("None", f"{segment({'alg': 'nOnE', 'kid': 'first'})}.{segment(GOOD)}.{segment('x')}", "does not fit"),
    ("HS256, the public key for a secret", hs256(public_pem()), "does not fit"),
    ("HS256, the key ID for a secret", hs256(b"first"), "does not fit"),
    ("RS256 by an EC key ID", sign(GOOD, rsa_key(), "first", "RS256"), "expected ES256"),
    ("ES256 by an RSA key ID", sign(GOOD, ec_key(), "rsa"), "expected RS256 or RS384 or RS512"),
    ("PS256 by an RSA key ID", sign(GOOD, header={"alg": "PS256", "kid": "rsa"}), "does not fit"),
    ("ES384 by a P-256 key", sign(GOOD, ec_key(), "first", "ES384"), "expected ES256"),
    ("another key's ID", sign(GOOD, ec_key("p384", ec.SECP384R1), "first", "ES384"), "does not fit"),
    (
        "a key of its own",
        sign(GOOD, ec_key("o"), header={"alg": "ES256", "kid": "first", "jwk": jwk("first", ec_key("o"))}),
        "signature is not",
    ),
    (
        "a key to be fetched",
        sign(GOOD, ec_key("o"), header={"alg": "ES256", "kid": "first", "jku": "https://evil.example"}),
        "signature is not",
    ),
]


@pytest.mark.parametrize(
    ("token", "reason"), [pytest.param(token, reason, id=name) for name, token, reason in CONFUSED]
)
async def test_a_token_its_signing_key_did_not_sign_is_refused(token: str, reason: str) -> None:
    assert reason in await refusal(token)


@pytest.mark.parametrize(
    "kid", ["First", "../first", "first\0", "' OR 1=1 --", "/dev/null", "", "rsa\n", None]
)
async def test_a_key_id_that_is_not_published_finds_no_key(kid: str | None) -> None:
    """So the cluster has to be asked, which here cannot be."""
    assert "cannot be checked now" in await refusal(sign(GOOD, kid=kid))


async def test_a_token_of_another_cluster_finds_no_key_though_its_key_id_is_published() -> None:
    other = sign(bound_payload(issuer="https://other.example"))
    assert "cannot be checked now" in await refusal(other)


async def test_an_expired_token_is_refused_though_it_was_proved_before() -> None:
    clock = Clock()
    checked = authenticator(clock)
    token = sign(bound_payload(exp=int(NOW) + 30))
    assert (await checked.authenticate(token)).expires_at == NOW + 30
    clock.now += 29.9
    assert (await checked.authenticate(token)).expires_at == NOW + 30
    clock.now += 0.1
    with pytest.raises(UnauthenticatedError, match="expired"):
        await checked.authenticate(token)


async def test_without_cluster_or_issuer_of_that_name_the_expected_issuer_is_named() -> None:
    class Known:
        name = "https://offmesh.local"

        def key(self, _kid: str) -> None:
            return None

    checked = TokenAuthenticator("istio-ca", (Known(),), clock=Clock())
    with pytest.raises(UnauthenticatedError, match=r"expected 'https://offmesh\.local'"):
        await checked.authenticate(sign(GOOD))
    with pytest.raises(UnauthenticatedError, match="signing key is not known here"):
        await checked.authenticate(sign(bound_payload(issuer="https://offmesh.local")))


WITHHELD: list[tuple[str, dict[str, Any]]] = [
    ("a secret", {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"}),
    ("an Ed25519 key", {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "k"}),
    ("a small RSA key", jwk("k", rsa_key(1_024))),
    ("a P-521 key", jwk("k", ec_key("p521", ec.SECP521R1))),
    ("a key of another curve", jwk("k", ec_key("k1", ec.SECP256K1))),
    ("a key for another algorithm", jwk("k", ec_key(), alg="ES384")),
    ("an RSA key for HS256", jwk("k", rsa_key(), alg="HS256")),
    ("a key to encrypt with", jwk("k", ec_key(), use="enc")),
    ("a point off the curve", {**jwk("k", ec_key()), "x": segment(bytes(32))}),
    ("half a key", {"kty": "EC", "crv": "P-256", "kid": "k"}),
    ("numbers for texts", {"kty": "EC", "crv": "P-256", "x": 1, "y": 2, "kid": "k"}),
    ("no key ID", jwk("", ec_key())),
    ("a list for a key ID", {**jwk("k", ec_key()), "kid": ["k"]}),
]


@pytest.mark.parametrize("item", [pytest.param(item, id=name) for name, item in WITHHELD])
def test_a_key_that_is_unfit_is_left_out_of_a_key_set_and_the_rest_stays(item: dict[str, Any]) -> None:
    assert list(keys_of_jwks({"keys": [item, None, jwk("good", ec_key())]})) == ["good"]


@pytest.mark.parametrize("jwks", [{}, {"keys": None}, {"keys": {"kid": "first"}}, {"keys": []}])
def test_what_is_no_key_set_holds_no_key(jwks: dict[str, Any]) -> None:
    assert keys_of_jwks(jwks) == {}


def test_of_two_different_keys_of_one_name_neither_counts() -> None:
    twins = [jwk("twin", ec_key()), jwk("twin", ec_key("other")), jwk("single", ec_key())]
    assert list(keys_of_jwks({"keys": twins})) == ["single"]


def test_a_private_part_published_by_mistake_is_not_taken_in() -> None:
    private = {
        **jwk("k", ec_key()),
        "d": segment(ec_key().private_numbers().private_value.to_bytes(32, "big")),
    }
    key = keys_of_jwks({"keys": [private]})["k"]
    assert isinstance(key.public, ec.EllipticCurvePublicKey)


def test_a_key_verifies_only_what_its_published_algorithm_says() -> None:
    (key,) = keys_of_jwks({"keys": [jwk("k", rsa_key(), alg="RS256")]}).values()
    assert key.algorithms == {"RS256"}


async def test_a_key_set_as_text_of_a_cluster_is_understood() -> None:
    """As a cluster writes it: with members that nobody here reads."""
    cluster = ScriptedCluster(ClusterError("a review is not expected"))
    text = json.dumps({"keys": [jwk("first", ec_key(), alg="ES256", x5c=["..."])]})
    cluster.published = PublishedKeys(json.loads(text), bound_payload()["iss"])
    checked = TokenAuthenticator("istio-ca", clusters={"": cluster}, clock=Clock())
    assert await checked.authenticate(sign(GOOD)) == CLAIMS
