"""
The one template of everything this mesh issues: a leaf for an identity, or for the server itself.

Empty subject, so the names are critical; both ends of a connection; never an authority
(facts wds, 7.4). Two certificates differ in key, serial number, names and times alone.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from xds_server.identity.signing.csr import PublicKey

IssuerKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_NO_SUBJECT = x509.Name([])
_NOT_AN_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
_BOTH_ENDS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_encipherment=True,
    content_commitment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Issuer(NamedTuple):
    """A certificate to sign with, read once, and the template as far as it depends on it alone."""

    key: IssuerKey
    hash: hashes.SHA256 | hashes.SHA384
    template: x509.CertificateBuilder


class Validity(NamedTuple):
    """Seconds since the epoch, both ends within."""

    not_before: int
    not_after: int


@lru_cache(maxsize=4)
def read_issuer(certificate_pem: str, key_pem: str) -> Issuer:
    """Read what to sign with; both were checked when they were taken into force."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    key = serialization.load_pem_private_key(key_pem.encode(), None)
    assert isinstance(key, IssuerKey)  # noqa: S101 - checked with the generation
    template = (
        x509.CertificateBuilder()
        .issuer_name(certificate.subject)
        .subject_name(_NO_SUBJECT)
        .add_extension(_USAGE, critical=True)
        .add_extension(_BOTH_ENDS, critical=False)
        .add_extension(_NOT_AN_AUTHORITY, critical=True)
        .add_extension(_key_identifier(certificate), critical=False)
    )
    return Issuer(key, _hash_for(key), template)


def sign_leaf(
    issuer: Issuer, public_key: PublicKey, names: Sequence[x509.GeneralName], validity: Validity
) -> x509.Certificate:
    """Sign the template for ``names``."""
    return (
        issuer.template.public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(validity.not_before, UTC))
        .not_valid_after(datetime.fromtimestamp(validity.not_after, UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .sign(issuer.key, issuer.hash)
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _hash_for(key: IssuerKey) -> hashes.SHA256 | hashes.SHA384:
    large = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1)
    return hashes.SHA384() if large else hashes.SHA256()


def _key_identifier(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return the issuer's own identifier, so that verifiers find it among several roots."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = certificate.public_key()
        assert isinstance(key, PublicKey)  # noqa: S101 - checked with the generation
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(held)
