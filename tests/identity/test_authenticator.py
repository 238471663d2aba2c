"""Who calls, by what it shows."""

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.helpers.authorities import new_generation, new_key
from tests.helpers.running_secure import Rights, Tokens
from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.authenticator import Authenticator
from xds_server.identity.caller import Proof
from xds_server.identity.signing.template import Validity, read_issuer, sign_leaf

WEB = "spiffe://cluster.local/ns/shop/sa/web"
GENERATION = new_generation()


def certificate(*names: x509.GeneralName) -> bytes:
    issuer = read_issuer(GENERATION.certificate_pem, GENERATION.key_pem)
    validity = Validity(1_900_000_000, 1_900_003_600)
    return sign_leaf(issuer, new_key().public_key(), names, validity).public_bytes(Encoding.DER)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


@pytest.fixture
def authenticator() -> Authenticator:
    return Authenticator(Tokens(), Rights())


@pytest.mark.parametrize("header", ["Bearer shop/web", "bearer shop/web", "BEARER  shop/web "])
async def test_a_bearer_token_is_looked_at_first(authenticator: Authenticator, header: str) -> None:
    caller = await authenticator.authenticate(header, certificate(uri(WEB.replace("web", "other"))))
    assert (str(caller.identity), caller.proof) == (WEB, Proof.TOKEN)


async def test_without_a_token_the_certificate_counts(authenticator: Authenticator) -> None:
    caller = await authenticator.authenticate("", certificate(uri(WEB)))
    assert (str(caller.identity), caller.proof, caller.expires_at) == (WEB, Proof.CERTIFICATE, 1_900_003_600)


@pytest.mark.parametrize(
    ("header", "shown", "told"),
    [
        ("", b"", "no token"),
        ("Basic dXNlcg==", b"", "is no bearer token"),
        ("shop/web", b"", "is no bearer token"),
        ("Bearer nonsense", certificate(uri(WEB)), "not believed"),
        ("", certificate(x509.DNSName("istiod.istio-system.svc")), "names 0 identities"),
        ("", certificate(uri(WEB), uri(WEB + "2")), "names 2 identities"),
        ("", certificate(uri("https://example.com")), "names no identity"),
        ("", b"junk", "names no identity"),
    ],
)
async def test_what_proves_nothing_is_refused_with_its_reason(
    authenticator: Authenticator, header: str, shown: bytes, told: str
) -> None:
    with pytest.raises(UnauthenticatedError, match=told):
        await authenticator.authenticate(header, shown)
    assert authenticator.outcomes == {"failed": 1}


async def test_a_bad_token_is_not_made_good_by_a_certificate(authenticator: Authenticator) -> None:
    shown: Any = certificate(uri(WEB))
    with pytest.raises(UnauthenticatedError):
        await authenticator.authenticate("Bearer nonsense", shown)
