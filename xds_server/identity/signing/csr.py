"""
Reading a stranger's certificate signing request: its public key, or why not.

Names and usages it asks for are ignored, the template decides them. One that asks to be an
authority is refused: no workload does. Facts: field B7, U30.
"""

import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from xds_server.exceptions import InputError

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

LONGEST_CSR = 16 << 10
"""Characters of PEM; one of an RSA-4096 key with ten names has 2,500."""
EXPECTED_KEY = "EC P-256 or P-384, or RSA of 2048 to 4096 bits"
_PEM = re.compile(
    r"\s*-----BEGIN (?P<kind>(?:NEW )?CERTIFICATE REQUEST)-----\r?\n"
    r"[A-Za-z0-9+/=\r\n]+\r?\n?-----END (?P=kind)-----\s*"
)
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


def public_key_of(pem: str) -> PublicKey:
    """
    Return the public key a request is about, after it proved to hold the private one.

    Raises:
        InputError: the request is malformed, forged, too weak or asks to be an authority.

    """
    if len(pem) > LONGEST_CSR:
        raise InputError(f"the CSR has {len(pem)} characters: expected at most {LONGEST_CSR}")
    if _PEM.fullmatch(pem) is None:
        raise InputError("the CSR is not one PEM block of a CERTIFICATE REQUEST and nothing else")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = _check_key(request.public_key())
        if not isinstance(request.signature_hash_algorithm, _HASHES):
            raise InputError("the CSR is signed with a weak or unknown hash: expected SHA-256, 384 or 512")
        if not request.is_signature_valid:
            raise InputError("the CSR is not signed with the private key of its public key")
        _check_no_authority(request.extensions)
    except _UNREADABLE:
        raise InputError("the CSR cannot be read: expected PKCS #10") from None
    return key


def _check_key(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096:
        if key.public_numbers().e < 65537:
            raise InputError("the RSA key of the CSR has a small exponent: expected 65537")
        return key
    size = getattr(key, "key_size", "")
    kind = type(key).__name__.removesuffix("PublicKey").lstrip("_")
    raise InputError(f"the key of the CSR is {kind} {size}".rstrip() + f": expected {EXPECTED_KEY}")


def _check_no_authority(extensions: x509.Extensions) -> None:
    for extension in extensions:
        value = extension.value
        signs = isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign)
        if signs or (isinstance(value, x509.BasicConstraints) and value.ca):
            raise InputError("the CSR asks for the powers of a certificate authority")
