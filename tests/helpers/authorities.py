"""A certificate authority in memory, and requests to sign."""

import time
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from xds_server.identity.authority.material import Generation, read_generation

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_generation(now: float | None = None, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> Generation:
    """Make a root and an intermediate, as a plug-in authority has them."""
    now = time.time() if now is None else now
    root_key, issuer_key = ec.generate_private_key(curve()), ec.generate_private_key(curve())
    root = certificate("root", root_key, "root", root_key, now)
    issuer = certificate("issuer", issuer_key, "root", root_key, now)
    files = {"root-cert.pem": root, "ca-cert.pem": issuer, "cert-chain.pem": issuer}
    encoded = {name: made.public_bytes(Encoding.PEM) for name, made in files.items()}
    return read_generation(encoded | {"ca-key.pem": key_pem(issuer_key).encode()}, now)


def certificate(name: str, key: PrivateKey, by: str, by_key: PrivateKey, now: float) -> x509.Certificate:
    """Make a certificate of an authority, valid from an hour ago for ten days."""
    begin = datetime.fromtimestamp(now, UTC) - timedelta(hours=1)
    usage = {
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    }
    usage |= {"encipher_only", "decipher_only"}
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(by))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(key_cert_sign=True, crl_sign=True, **dict.fromkeys(usage, False)), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by_key.public_key()), critical=False
        )
        .sign(by_key, hashes.SHA256())
    )


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])


class FixedAuthority:
    """An authority that does as the test says."""

    def __init__(self, now: float | None = None, curve: type[ec.EllipticCurve] = ec.SECP256R1) -> None:
        self.signing = new_generation(now, curve)

    @property
    def trust_bundle(self) -> str:
        return "".join(self.signing.roots)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def new_csr(
    key: PrivateKey | None = None,
    *extensions: x509.ExtensionType,
    uri: str = "spiffe://cluster.local/ns/a/sa/b",
) -> str:
    """Make a request as ztunnel does: no subject, one critical URI."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key or new_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
