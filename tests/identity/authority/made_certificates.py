"""Certificate authorities of every kind, good and bad, and files of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = 1_800_000_000.0
"""The time of every test, in seconds since the epoch."""
MOMENT = datetime.fromtimestamp(NOW, UTC)
DAY = timedelta(days=1)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the one RSA key of this size; making it is slow."""
    return rsa.generate_private_key(65_537, bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a certificate is to look like."""

    ca: bool = True
    path_length: int | None = None
    usage: bool | None = True
    """Whether keyCertSign is in the key usage; None for no key usage at all."""
    begin: datetime = MOMENT - DAY
    end: datetime = MOMENT + 100 * DAY
    digest: hashes.SHA224 | hashes.SHA256 = field(default_factory=hashes.SHA256)


def make(name: str, by: Made | None = None, key: Key | None = None, shape: Shape | None = None) -> Made:
    """Make a certificate that ``by`` signed, or itself."""
    shape, key = shape or Shape(), key or ec_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(shape.begin)
        .not_valid_after(shape.end)
        .add_extension(x509.BasicConstraints(shape.ca, shape.path_length), critical=True)
    )
    if shape.usage is not None:
        builder = builder.add_extension(_usage(shape.usage), critical=True)
    return Made(builder.sign(by.key if by else key, shape.digest), key)


def istio_files(issuer: Made, *above: Made, roots: tuple[Made, ...] = ()) -> dict[str, bytes]:
    """Name the files as istio does: the last of ``above`` is the root, ``roots`` are trusted beside it."""
    everyone = (issuer, *above)
    return {
        "ca-cert.pem": issuer.pem,
        "ca-key.pem": issuer.key_pem,
        "root-cert.pem": b"".join(one.pem for one in (everyone[-1], *roots)),
        "cert-chain.pem": b"".join(one.pem for one in everyone[:-1]),
    }


def plugged_in(root: Made | None = None) -> dict[str, bytes]:
    """Return a good set under a root, or a new one."""
    root = root or make("root")
    return istio_files(make("issuer", root), root)


def _usage(key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
