"""The key with which tokens are made where there is no cluster: one file, made once, whoever is first."""

import base64
import hashlib
import logging
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from xds_server.exceptions import InputError
from xds_server.identity.tokens.keys import VerifyKey, fitting_algorithms

KEY_FILE = "token-key.pem"
_EXPECTED = "expected an EC P-256 private key in PEM, not encrypted"
_LARGEST = 65_536

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class TokenKey:
    """A private key and the name it goes by. Kept out of every ``repr``."""

    private: ec.EllipticCurvePrivateKey
    kid: str
    """Follows from the public key, as in Kubernetes: so two keys never share one."""
    verify: VerifyKey


def load_or_make_key(path: Path) -> TokenKey:
    """
    Read the key, or make it. Safe when several processes start at once: all get the same key.

    Raises:
        InputError: the file cannot be used or made.

    """
    try:
        return load_key(path)
    except FileNotFoundError:
        pass
    private = ec.generate_private_key(ec.SECP256R1())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _publish(path, _pem(private)):
            log.info("made the key that signs tokens: %s", path)
        return load_key(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be made: {error.strerror}") from None


def load_key(path: Path) -> TokenKey:
    """
    Read the key.

    Raises:
        FileNotFoundError: there is none.
        InputError: the file cannot be read, or holds no such key.

    """
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o007:
                log.warning("%s: everybody on this machine can use it: expected mode 0600", path)
            pem = file.read(_LARGEST)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(f"{path}: holds no usable key: {_EXPECTED}") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise InputError(f"{path}: holds another kind of key: {_EXPECTED}")
    return _named(private)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _publish(path: Path, content: bytes) -> bool:
    """Put a file in place whole, unless another was quicker; tell whether it is ours."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_private(scratch, content)
        # A link, unlike a rename, never replaces the key another process has just begun to use.
        os.link(scratch, path)
    except FileExistsError:
        return False
    finally:
        scratch.unlink(missing_ok=True)
    return True


def _named(private: ec.EllipticCurvePrivateKey) -> TokenKey:
    public = private.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    kid = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    return TokenKey(private, kid, VerifyKey(public, fitting_algorithms(public)))


def _pem(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
