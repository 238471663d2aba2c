"""What is taken from a CSR, and what is refused (field facts, B7)."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.authorities import new_csr, new_key
from xds_server.exceptions import InputError
from xds_server.identity.signing.csr import LONGEST_CSR, public_key_of

_SHA256 = hashes.SHA256()
_RSA = rsa.generate_private_key(65537, 2048)
_CSR = new_csr()
_DER = base64.b64decode("".join(_CSR.splitlines()[1:-1]))


def signed(key: Any, digest: Any = _SHA256, subject: x509.Name | None = None) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    made = builder.sign(key, digest)
    return made.public_bytes(Encoding.PEM).decode()


def armoured(der: bytes, kind: str = "CERTIFICATE REQUEST") -> str:
    return f"-----BEGIN {kind}-----\n{base64.encodebytes(der).decode()}-----END {kind}-----\n"


def usage(**powers: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
        " key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**(dict.fromkeys(names.split(), False) | {"digital_signature": True} | powers))


@pytest.mark.parametrize(
    "key",
    [new_key(), ec.generate_private_key(ec.SECP384R1()), _RSA, rsa.generate_private_key(65537, 3072)],
    ids=["P-256", "P-384", "RSA-2048", "RSA-3072"],
)
def test_the_public_key_is_taken(key: Any) -> None:
    taken = public_key_of(new_csr(key))
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert taken.public_bytes(*form) == key.public_key().public_bytes(*form)


@pytest.mark.parametrize(
    "csr",
    [
        new_csr(uri=""),
        new_csr(uri="spiffe://evil/ns/kube-system/sa/admin"),
        new_csr(None, x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.3")])),
        new_csr(None, usage(key_agreement=True)),
        signed(
            new_key(), subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "istiod.istio-system.svc")])
        ),
        signed(new_key(), hashes.SHA512()),
        _CSR.replace("\n", "\r\n"),
        _CSR.replace(" CERTIFICATE REQUEST", " NEW CERTIFICATE REQUEST"),
        f"\n{_CSR}\n\n",
    ],
    ids=[
        "no name",
        "another's name",
        "code signing",
        "key agreement",
        "a subject",
        "SHA-512",
        "CRLF",
        "NEW",
        "blank lines",
    ],
)
def test_what_else_it_asks_for_does_not_matter(csr: str) -> None:
    assert public_key_of(csr)


REFUSED = {
    "empty": ("", "PEM"),
    "not PEM": ("hello", "PEM"),
    "a certificate": (armoured(_DER, "CERTIFICATE"), "PEM"),
    "two requests": (_CSR + _CSR, "PEM"),
    "text before": ("x" + _CSR, "PEM"),
    "text after": (_CSR + "x", "PEM"),
    "a key beside it": (_CSR + armoured(b"key", "PRIVATE KEY"), "PEM"),
    "trailing bytes": (armoured(_DER + b"\0"), "cannot be read"),
    "cut": (armoured(_DER[:-9]), "cannot be read"),
    "not DER": (armoured(b"\xff" * 64), "cannot be read"),
    "no bytes": (armoured(b""), "PEM"),
    "a megabyte": (armoured(b"\x30" * (1 << 20)), "characters"),
    "forged": (armoured(_DER[:-1] + bytes([_DER[-1] ^ 1])), "not signed with"),
    "P-521": (signed(ec.generate_private_key(ec.SECP521R1())), "521"),
    "P-224": (signed(ec.generate_private_key(ec.SECP224R1())), "224"),
    "secp256k1": (signed(ec.generate_private_key(ec.SECP256K1())), "expected EC P-256"),
    "RSA-1024": (signed(rsa.generate_private_key(65537, 1024)), "RSA 1024"),  # noqa: S505
    "RSA exponent 3": (signed(rsa.generate_private_key(3, 2048)), "exponent"),
    "Ed25519": (signed(ed25519.Ed25519PrivateKey.generate(), None), "Ed25519"),
    "DSA": (signed(dsa.generate_private_key(2048)), "DSA"),
    "asks to be an authority": (new_csr(None, x509.BasicConstraints(True, None)), "authority"),
    "asks to sign certificates": (new_csr(None, usage(key_cert_sign=True)), "authority"),
    "asks to sign revocations": (new_csr(None, usage(crl_sign=True)), "authority"),
}


@pytest.mark.parametrize(("csr", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_a_hostile_request_is_refused_with_its_fault(csr: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        public_key_of(csr)


def test_a_weak_hash_is_refused() -> None:
    """SHA-1 cannot be made here any more, so the algorithm of a good one is renamed."""
    ecdsa_sha256, ecdsa_sha1 = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d0401")
    assert ecdsa_sha256 in _DER
    renamed = _DER.replace(ecdsa_sha256, bytes.fromhex("06082a8648ce3d040301"))
    assert renamed != _DER
    assert ecdsa_sha1 not in renamed
    with pytest.raises(InputError):
        public_key_of(armoured(renamed))


def test_a_huge_rsa_key_is_refused_before_it_is_worked_with() -> None:
    numbers = rsa.RSAPublicNumbers(65537, (1 << 16383) + 1)
    spki = numbers.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = der(0x30, b"\x02\x01\x00" + der(0x30, b"") + spki + b"\xa0\x00")
    algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
    with pytest.raises(InputError, match="RSA 16384"):
        public_key_of(armoured(der(0x30, info + algorithm + der(0x03, b"\0" * 2049))))


def der(tag: int, body: bytes) -> bytes:
    length = len(body)
    if length < 0x80:
        return bytes([tag, length]) + body
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(InputError):
        public_key_of(text)


@settings(max_examples=1_000, deadline=None)
@given(st.integers(0, len(_DER) - 1), st.integers(1, 255))
def test_a_changed_byte_is_read_as_the_same_key_or_refused(at: int, change: int) -> None:
    changed = bytearray(_DER)
    changed[at] ^= change
    try:
        taken = public_key_of(armoured(bytes(changed)))
    except InputError:
        return
    # Some bits say nothing, such as the count of unused bits of a signature that ends in a zero bit.
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert taken.public_bytes(*form) == x509.load_der_x509_csr(_DER).public_key().public_bytes(*form)


def test_the_limit_is_above_the_largest_honest_request() -> None:
    assert len(new_csr(rsa.generate_private_key(65537, 4096))) < LONGEST_CSR
