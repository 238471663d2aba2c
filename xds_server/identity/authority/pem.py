"""PEM files, read strictly: whole blocks of the expected kind, nothing else, so no half file is believed."""

import re
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from xds_server.exceptions import InputError, Problem

MOST_BYTES = 1 << 20
"""No certificate authority's file is larger; read one byte more to know."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n([^-]*)-----END \1-----")
_KEYS = frozenset({"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"})
_ENCRYPTED = "ENCRYPTED"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def refuse(where: str, subject: str, value: str, expected: str) -> NoReturn:
    """Raise the InputError of one thing wrong with a file."""
    raise InputError(str(Problem(where, subject, value, expected)))


def read_certificates(name: str, data: bytes) -> list[x509.Certificate]:
    """
    Read every certificate of the file ``name``, in order; an empty file has none.

    Raises:
        InputError: it holds anything else.

    """
    certificates = []
    for number, (label, block) in enumerate(_blocks(name, data), 1):
        if label != "CERTIFICATE":
            refuse(name, f"PEM block {number}", label, "CERTIFICATE")
        try:
            certificates.append(x509.load_pem_x509_certificate(block.encode()))
        except ValueError:
            refuse(name, f"certificate {number}", "unreadable", "an X.509 certificate in PEM")
    return certificates


def read_key(name: str, data: bytes, *, consistent: bool = True) -> PrivateKey:
    """
    Read the one private key of the file ``name``. No message quotes what is in it.

    Whether an RSA key is ``consistent`` takes a fifth of a second in which no other thread runs; leave
    that out when the key is not yet to sign.

    Raises:
        InputError: it holds no usable key, several, an encrypted one, or anything else.

    """
    # openssl ecparam writes the curve in a block before the key.
    blocks = [found for found in _blocks(name, data) if found[0] != "EC PARAMETERS"]
    if len(blocks) != 1:
        refuse(name, "the number of private keys", str(len(blocks)), "1")
    label, block = blocks[0]
    if _ENCRYPTED in label or _ENCRYPTED in block:
        refuse(name, "the private key", "encrypted", "one without a passphrase")
    if label not in _KEYS:
        refuse(name, "the PEM block", label, "PRIVATE KEY")
    try:
        key = serialization.load_pem_private_key(
            block.encode(), password=None, unsafe_skip_rsa_key_validation=not consistent
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        refuse(name, "the private key", "unreadable", "a private key in PEM")
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        refuse(name, "the private key", "of an unknown kind", "EC P-256 or P-384, or RSA")
    return key


def certificate_text(certificate: x509.Certificate) -> str:
    """One PEM block that ends in exactly one newline, the same for the same certificate."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_text(key: PrivateKey) -> str:
    """The key in PKCS#8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _blocks(name: str, data: bytes) -> list[tuple[str, str]]:
    """Split a file into blocks, each with its label; only space may stand between them."""
    if len(data) > MOST_BYTES:
        refuse(name, "the size", f"over {MOST_BYTES} bytes", "a few certificates or one key")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        refuse(name, "the content", "not ASCII", "PEM")
    # An encrypted key of the old form has a header with hyphens; it is told as what it is.
    if "Proc-Type: 4,ENCRYPTED" in text:
        refuse(name, "the private key", "encrypted", "one without a passphrase")
    if _BLOCK.sub("", text).strip():
        refuse(name, "the content", "not PEM from start to end", "PEM blocks with nothing around them")
    return [(found[1], found[0]) for found in _BLOCK.finditer(text)]
