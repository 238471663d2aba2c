"""The certificates of an API server of the tests, on disk."""

import ipaddress
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.helpers.authorities import certificate, key_pem, named, new_key

_NAMES = ("localhost", "kubernetes.default.svc")


def write_certificates(folder: Path) -> None:
    """Write ``ca.pem``, the server's ``tls.pem`` and ``tls.key``, and the token key ``sa.key``."""
    ca_key, key = new_key(), new_key()
    ca = certificate("cluster", ca_key, "cluster", ca_key, time.time())
    sans = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *(x509.DNSName(name) for name in _NAMES)]
    leaf = (
        x509.CertificateBuilder()
        .subject_name(named("kube-apiserver"))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ca.not_valid_before_utc)
        .not_valid_after(ca.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName(sans), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "tls.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_text(key_pem(key))
    tokens = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = tokens.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "sa.key").write_bytes(pem)
