"""What is no token, or could be read in two ways, is refused before any key is looked for."""

import json
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.helpers.tokens import (
    CLAIMS,
    Clock,
    ScriptedCluster,
    bound_payload,
    ec_key,
    published,
    segment,
    sign,
)
from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.compact import read_compact

GOOD = sign(bound_payload())
HEADER = json.dumps({"alg": "ES256", "kid": "first"})
PAYLOAD = json.dumps(bound_payload())
TWICE = PAYLOAD[:-1] + ', "sub": "system:serviceaccount:istio-system:istiod"}'
DEEP_TWICE = PAYLOAD.replace('"name": "ztunnel"', '"name": "istiod", "name": "ztunnel"')
AT_WORST = "[" * 5_900


def authenticator() -> TokenAuthenticator:
    """Return one whose cluster would accept anything, were it asked."""
    cluster = ScriptedCluster()
    cluster.published = published(first=ec_key())
    return TokenAuthenticator("istio-ca", clusters={"": cluster}, clock=Clock())


MALFORMED = [
    ("nothing", "", "(empty)"),
    ("a newline behind", f"{GOOD}\n", "(white space in it)"),
    ("a space before", f" {GOOD}", "(white space in it)"),
    ("two tokens", f"{GOOD} {GOOD}", "(white space in it)"),
    ("white space alone", " \t", "(white space in it)"),
    ("not ASCII", GOOD[:-1] + "é", "(not ASCII)"),
    ("a digit of another script", GOOD[:-1] + "٣", "(not ASCII)"),
    ("half a character", GOOD[:-1] + "\ud800", "(not ASCII)"),
    ("a NUL", f"{GOOD}\0", "(no JWT)"),
    ("a word", "secret", "(no JWT)"),
    ("two parts", GOOD.rpartition(".")[0], "(no JWT)"),
    ("four parts", f"{GOOD}.x", "(no JWT)"),
    ("no signature", f"{GOOD.rpartition('.')[0]}.", "(no JWT)"),
    ("padding", f"{GOOD}==", "(no JWT)"),
    ("standard base64", f"{GOOD[:-2]}+/", "(no JWT)"),
    ("an encrypted one", "a.b.c.d.e", "(no JWT)"),
    ("a header that is no JSON", f"YWJj.{segment(PAYLOAD)}.x", "a header that is no unambiguous JSON object"),
    ("a header that is a list", sign(PAYLOAD, header="[]"), "a header that is no unambiguous"),
    ("a header not in UTF-8", f"{segment(bytes([0xFF]))}.{segment(PAYLOAD)}.x", "a header that is no"),
    ("a header of 4 n + 1 characters", f"AAAAA.{segment(PAYLOAD)}.x", "a header that is no unambiguous"),
    (
        "two algorithms",
        sign(PAYLOAD, header='{"alg":"none","alg":"ES256","kid":"first"}'),
        "a header that is",
    ),
    ("two key IDs", sign(PAYLOAD, header='{"alg":"ES256","kid":"a","kid":"first"}'), "a header that is no"),
    ("no algorithm", sign(PAYLOAD, header={"kid": "first"}), "a header without a usable alg or kid"),
    ("a number for an algorithm", sign(PAYLOAD, header={"alg": 5, "kid": "first"}), "usable alg or kid"),
    ("a list for a key ID", sign(PAYLOAD, header={"alg": "ES256", "kid": ["first"]}), "usable alg or kid"),
    ("a null for a key ID", sign(PAYLOAD, header={"alg": "ES256", "kid": None}), "usable alg or kid"),
    ("a long key ID", sign(PAYLOAD, kid="k" * 257), "usable alg or kid"),
    (
        "critical extensions",
        sign(PAYLOAD, header={**json.loads(HEADER), "crit": ["x"]}),
        "more than a signature",
    ),
    (
        "a payload elsewhere",
        sign(PAYLOAD, header={**json.loads(HEADER), "b64": False}),
        "more than a signature",
    ),
    (
        "a compressed payload",
        sign(PAYLOAD, header={**json.loads(HEADER), "zip": "DEF"}),
        "more than a signature",
    ),
    ("a payload that is no JSON", sign("abc"), "a payload that is no unambiguous JSON object"),
    ("a payload that is a text", sign('"sub"'), "a payload that is no unambiguous"),
    ("a claim twice", sign(TWICE), "a payload that is no unambiguous"),
    ("a nested claim twice", sign(DEEP_TWICE), "a payload that is no unambiguous"),
    (
        "no number",
        sign(PAYLOAD.replace('"exp": 1800003600', '"exp": NaN')),
        "a payload that is no unambiguous",
    ),
    ("an endless expiry", sign(PAYLOAD.replace('"exp": 1800003600', '"exp": Infinity')), "a payload that is"),
    (
        "an expiry too large",
        sign(PAYLOAD.replace('"exp": 1800003600', '"exp": 1e999')),
        "exp that is no time",
    ),
    ("a number of 5,000 digits", sign(PAYLOAD.replace("1800003600", "9" * 5_000)), "payload that is no"),
    ("nested too deep", sign(AT_WORST), "a payload that is no unambiguous"),
    ("objects nested too deep", sign('{"a":' * 1_180), "a payload that is no unambiguous"),
    ("a header nested too deep", sign("{}", header=AT_WORST), "a header that is no unambiguous"),
    ("no issuer", sign(bound_payload(iss=None)), "(no issuer (iss))"),
    ("a list of issuers", sign(bound_payload(iss=["a"])), "(no issuer (iss))"),
    ("too long", "a" * 8_193, "too long: 8193 characters, expected at most 8192"),
    ("far too long", GOOD * 10_000, "the token is too long"),
]


@pytest.mark.parametrize(
    ("token", "reason"), [pytest.param(token, reason, id=name) for name, token, reason in MALFORMED]
)
async def test_what_is_no_clear_token_is_refused_with_the_reason(token: str, reason: str) -> None:
    with pytest.raises(UnauthenticatedError) as caught:
        await authenticator().authenticate(token)
    assert reason in str(caught.value)


async def test_the_longest_token_is_still_read() -> None:
    filled = sign(bound_payload(filler="x" * 5_000))
    filled = sign(bound_payload(filler="x" * (5_000 + (8_192 - len(filled)) * 3 // 4)))
    assert 8_180 < len(filled) <= 8_192
    assert await authenticator().authenticate(filled) == CLAIMS


def test_a_token_taken_apart_shows_nothing_of_itself() -> None:
    assert "eyJ" not in repr(read_compact(GOOD))


CLAIM = st.sampled_from(["alg", "kid", "iss", "exp", "aud", "sub", "kubernetes.io", "pod", "name"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CLAIM, inner, max_size=4),
    max_leaves=12,
)
LETTERS = st.text(string.ascii_letters + string.digits + "-_=", max_size=40)
SEGMENT = LETTERS | JSON.map(lambda value: segment(json.dumps(value)))


@given(st.one_of(st.text(), st.lists(SEGMENT, min_size=3, max_size=3).map(".".join)))
@example("..")
@example("\ud800")
@settings(max_examples=400, deadline=None)
async def test_any_text_at_all_is_refused_as_unauthenticated_and_by_no_other_error(token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        await authenticator().authenticate(token)


PART = st.dictionaries(
    st.sampled_from(["name", "uid", "namespace", "pod", "serviceaccount", "node"]),
    st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.text(max_size=3), max_size=2)),
    max_size=4,
)
VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), PART)


@given(
    st.sampled_from(["exp", "iat", "nbf", "aud", "sub", "kubernetes.io", "iss"]),
    VALUE,
)
@settings(max_examples=200, deadline=None)
async def test_signed_nonsense_in_a_claim_raises_no_other_error_and_gives_no_other_account(
    claim: str, value: object
) -> None:
    checked = authenticator()
    try:
        claims = await checked.authenticate(sign({**bound_payload(), claim: value}))
    except UnauthenticatedError:
        return
    assert (claims.namespace, claims.service_account, claims.pod) == (
        CLAIMS.namespace,
        CLAIMS.service_account,
        CLAIMS.pod,
    )


async def test_a_token_with_any_one_bit_flipped_is_refused() -> None:
    """All of them: 8 of every character. The cluster knows the key, so none is its to judge."""
    cluster = ScriptedCluster({"authenticated": False})
    cluster.published = published(first=ec_key())
    checked = TokenAuthenticator("istio-ca", clusters={"": cluster}, clock=Clock())
    assert await checked.authenticate(GOOD) == CLAIMS
    for place, character in enumerate(GOOD):
        for bit in range(8):
            flipped = f"{GOOD[:place]}{chr(ord(character) ^ 1 << bit)}{GOOD[place + 1 :]}"
            with pytest.raises(UnauthenticatedError):
                await checked.authenticate(flipped)
