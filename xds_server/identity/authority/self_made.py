"""
A certificate authority made here, for a mesh whose operator brings none.

A self-made set has its root's key beside it, in ``root-key.pem``: by that it is known later, and by
that its intermediate is renewed. Leaves are signed by the intermediate, so the root's key is only
read when the intermediate is renewed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from xds_server.identity.authority.pem import (
    PrivateKey,
    certificate_text,
    key_text,
    read_certificates,
    read_key,
    refuse,
)

ROOT_KEY = "root-key.pem"
_ROOT = "root-cert.pem"
_ISSUER = "ca-cert.pem"

_ROOT_LIFE = timedelta(days=3_650)
_INTERMEDIATE_LIFE = timedelta(days=365)
# A peer whose clock is behind must take what was just made; leaves are back-dated by as much.
_BACK_DATED = timedelta(minutes=2)
_INTERMEDIATE_RENEWED_AT = 2 / 3
_ROOT_REPLACED_AT = 4 / 5
# RFC 5280 allows an organisation of no more than this, a trust domain may be longer.
_ORGANIZATION = 64


def make_root(trust_domain: str, now: float) -> tuple[str, str]:
    """Make a root of 10 years; return its certificate and key in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    begin, end = _life(now, _ROOT_LIFE)
    name = _name(trust_domain, "root", key.public_key())
    certificate = _authority(name, key.public_key(), path_length=1).issuer_name(name)
    certificate = certificate.not_valid_before(begin).not_valid_after(end)
    return certificate_text(certificate.sign(key, hashes.SHA256())), key_text(key)


def make_intermediate(
    root_cert_pem: str, root_key_pem: str, trust_domain: str, now: float
) -> tuple[str, str]:
    """
    Make an intermediate of a year, though never beyond its root; return its certificate and key in PEM.

    Raises:
        InputError: the root or its key cannot be read, or the root has expired.

    """
    root_key = read_key(ROOT_KEY, root_key_pem.encode())
    root = _root_of_key(root_cert_pem.encode(), root_key)
    begin, end = _life(now, _INTERMEDIATE_LIFE)
    if now >= root.not_valid_after_utc.timestamp():
        refuse(_ROOT, "the root", f"expired at {root.not_valid_after_utc}", "one that is valid now")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _authority(_name(trust_domain, "intermediate", key.public_key()), key.public_key(), path_length=0)
        .issuer_name(root.subject)
        .not_valid_before(begin)
        .not_valid_after(min(end, root.not_valid_after_utc))
        .add_extension(_key_id_of_issuer(root), critical=False)
    )
    return certificate_text(certificate.sign(root_key, hashes.SHA256())), key_text(key)


def make_files(trust_domain: str, now: float) -> Mapping[str, bytes]:
    """Make a whole set: a root and an intermediate under it."""
    root, root_key = make_root(trust_domain, now)
    return _files(root, root_key, make_intermediate(root, root_key, trust_domain, now))


def renewed_files(files: Mapping[str, bytes], trust_domain: str, now: float) -> Mapping[str, bytes] | None:
    """
    Return what a self-made set is to be replaced with, or None if it is not self-made or not yet due.

    Roots that an operator added stay in ``root-cert.pem``; a replaced root does not: who rotates keeps it.

    Raises:
        InputError: the set has a root key that cannot be used.

    """
    if ROOT_KEY not in files:
        return None
    key, trusted = read_key(ROOT_KEY, files[ROOT_KEY], consistent=False), files.get(_ROOT, b"")
    root = _root_of_key(trusted, key)
    if _is_due(root, _ROOT_REPLACED_AT, now):
        others = [certificate_text(one) for one in read_certificates(_ROOT, trusted) if one != root]
        new, new_key = make_root(trust_domain, now)
        made = make_intermediate(new, new_key, trust_domain, now)
        return _files(new + "".join(others), new_key, made)
    issuers = read_certificates(_ISSUER, files.get(_ISSUER, b""))
    if len(issuers) != 1 or not _is_due(issuers[0], _INTERMEDIATE_RENEWED_AT, now):
        return None
    made = make_intermediate(certificate_text(root), key_text(key), trust_domain, now)
    return _files(trusted.decode(), key_text(key), made)


def _files(roots: str, root_key: str, intermediate: tuple[str, str]) -> dict[str, bytes]:
    """Name the parts; ``cert-chain.pem`` holds the intermediate, as istio wants it."""
    certificate, key = intermediate
    texts = {
        _ROOT: roots,
        ROOT_KEY: root_key,
        _ISSUER: certificate,
        "ca-key.pem": key,
        "cert-chain.pem": certificate,
    }
    return {name: text.encode() for name, text in texts.items()}


def _root_of_key(trusted: bytes, key: PrivateKey) -> x509.Certificate:
    roots = [root for root in read_certificates(_ROOT, trusted) if root.public_key() == key.public_key()]
    if not roots:
        expected = f"the key of a self-made root, or no {ROOT_KEY} beside certificates from elsewhere"
        refuse(ROOT_KEY, "the private key", f"of none of the certificates in {_ROOT}", expected)
    return roots[0]


def _is_due(certificate: x509.Certificate, at: float, now: float) -> bool:
    begin, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    return now >= begin + (end - begin) * at


def _life(now: float, length: timedelta) -> tuple[datetime, datetime]:
    moment = datetime.fromtimestamp(int(now), UTC)
    return moment - _BACK_DATED, moment + length


def _name(trust_domain: str, role: str, key: ec.EllipticCurvePublicKey) -> x509.Name:
    """A name of its own for each key, so that no peer tries one root's key for another's certificates."""
    key_id = x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:_ORGANIZATION]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"offmesh {role} {key_id[:16]}"),
        ]
    )


def _authority(name: x509.Name, key: ec.EllipticCurvePublicKey, path_length: int) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_id_of_issuer(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key_id = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id)
