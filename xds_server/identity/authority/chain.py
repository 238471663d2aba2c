"""
Whether an issuer may sign leaves that every peer verifies.

Theory: a peer walks from the leaf to a root it trusts, over what the leaf's owner sends. So each
certificate must be signed by the next, must be a CA that may have so many below it, must be valid
now, and must have a key that ztunnel, istio and OpenSSL all take. Only the last is held by the peer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from xds_server.identity.authority.pem import refuse

_KEYS = "EC P-256 or P-384, or RSA of 2048 to 4096 bits"
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """A certificate and where it stands, for messages."""

    file: str
    number: int
    certificate: x509.Certificate

    @classmethod
    def each(cls, file: str, certificates: Iterable[x509.Certificate]) -> list["CertificateFile"]:
        return [cls(file, number, certificate) for number, certificate in enumerate(certificates, 1)]

    def refuse(self, subject: str, value: str, expected: str) -> NoReturn:
        refuse(self.file, f"certificate {self.number}: {subject}", value, expected)


def check_chain(
    issuer: CertificateFile, chain: Sequence[CertificateFile], roots: Sequence[CertificateFile], now: float
) -> tuple[list[x509.Certificate], x509.Certificate]:
    """
    Return the way from the issuer (first) to below its root, and that root.

    ``chain`` may begin with the issuer and end with the root. The way holds only the issuer when
    the root is the issuer itself, or signed it.

    Raises:
        InputError: some peer would refuse a leaf of this issuer.

    """
    for root in roots:
        _check_authority(root)
        if not is_self_signed(root.certificate):
            root.refuse("a root", "not signed by itself", "self-signed roots only")
    path = _in_order(issuer, chain)
    root = _root_of(path[-1], roots)
    for below, one in enumerate(path):
        _check_authority(one)
        _check_usage(one)
        _check_strength(one)
        _check_time(one, now)
        _check_length(one, below)
    _check_strength(root, signature=False)
    _check_time(root, now)
    _check_length(root, 0 if is_self_signed(issuer.certificate) else len(path))
    return [one.certificate for one in path], root.certificate


def _in_order(issuer: CertificateFile, chain: Sequence[CertificateFile]) -> list[CertificateFile]:
    """The issuer and its intermediates, each signed by the next, without the root."""
    path = [issuer]
    for one in chain:
        if one.certificate == path[-1].certificate and len(path) == 1:
            continue
        if not _signed_by(path[-1].certificate, one.certificate):
            signed = _name(path[-1].certificate)
            one.refuse(_name(one.certificate), "out of order", f"the certificate that signed {signed}")
        path.append(one)
    if len(path) > 1 and is_self_signed(path[-1].certificate):
        path.pop()
    return path


def _root_of(last: CertificateFile, roots: Sequence[CertificateFile]) -> CertificateFile:
    """The root that signed ``last``; of several with one key, the one that lives longest."""
    signers = [root for root in roots if _signed_by(last.certificate, root.certificate)]
    if not signers:
        trusted = ", ".join(_name(root.certificate) for root in roots)
        last.refuse(_name(last.certificate), "signed by none of the roots", f"a chain up to {trusted}")
    return max(signers, key=lambda root: root.certificate.not_valid_after_utc)


def _check_authority(one: CertificateFile) -> None:
    try:
        extensions = one.certificate.extensions
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = x509.BasicConstraints(ca=False, path_length=None)
    except (ValueError, x509.DuplicateExtension):
        one.refuse("the extensions", "unreadable", "X.509 version 3 extensions")
    if not constraints.ca:
        one.refuse(_name(one.certificate), "not a certificate authority", "CA:TRUE")


def _check_usage(one: CertificateFile) -> None:
    try:
        usage = one.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is None or not usage.key_cert_sign:
        one.refuse("the key usage", "without keyCertSign", "keyCertSign")


def _check_strength(one: CertificateFile, *, signature: bool = True) -> None:
    """Check the key and how it was signed; nobody verifies a root's own signature."""
    try:
        key = one.certificate.public_key()
        algorithm = one.certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        one.refuse("the key or signature", "of an unknown kind", _KEYS)
    match key:
        case rsa.RSAPublicKey() if not 2048 <= key.key_size <= 4096:
            one.refuse("the key", f"RSA of {key.key_size} bits", _KEYS)
        case ec.EllipticCurvePublicKey() if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            one.refuse("the key", f"EC on {key.curve.name}", _KEYS)
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey():
            pass
        case _:
            one.refuse("the key", "of another kind", _KEYS)
    if signature and not isinstance(algorithm, _HASHES):
        one.refuse("the signature", algorithm.name if algorithm else "without a hash", "SHA-256 or better")


def _check_time(one: CertificateFile, now: float) -> None:
    begin, end = one.certificate.not_valid_before_utc, one.certificate.not_valid_after_utc
    if now >= end.timestamp():
        one.refuse("the end of its life", f"{end:%Y-%m-%dT%H:%M:%SZ}, in the past", f"after {_told(now)}")
    if now < begin.timestamp():
        one.refuse("the begin of its life", f"{begin:%Y-%m-%dT%H:%M:%SZ}, in the future", f"by {_told(now)}")


def _check_length(one: CertificateFile, below: int) -> None:
    """Check that ``below`` further authorities may stand between this one and a leaf."""
    allowed = one.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if allowed is not None and allowed < below:
        one.refuse("pathlen", str(allowed), f"at least {below}, the authorities below it")


def _signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_self_signed(certificate: x509.Certificate) -> bool:
    return _signed_by(certificate, certificate)


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"


def _told(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"
