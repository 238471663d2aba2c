"""What a certificate authority signs with and is trusted by: one set of files, checked as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from xds_server.identity.authority.chain import CertificateFile, check_chain, is_self_signed
from xds_server.identity.authority.pem import certificate_text, key_text, read_certificates, read_key, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One issuer with all that goes with it."""

    certificate_pem: str
    key_pem: str = field(repr=False)
    """The issuer's private key, in PKCS#8: never in logs."""
    chain: tuple[str, ...]
    """What follows a leaf: the issuer, then further intermediates; no root, so empty if the issuer is one."""
    roots: tuple[str, ...]
    not_after: float
    """Seconds since the epoch at which the first of issuer, intermediates and their root expires."""
    digest: str
    """SHA-256 of the issuer certificate, in hex."""


@dataclass(frozen=True, slots=True)
class _Names:
    """What the files of a set are called; ``chain`` may be empty or absent, and be the issuer's file."""

    issuer: str
    key: str
    roots: str
    chain: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.issuer, self.key, self.roots)

    @property
    def known(self) -> frozenset[str]:
        return frozenset(filter(None, (*self.needed, self.chain)))


_ISTIO = _Names("ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem")
_KUBERNETES = _Names("tls.crt", "tls.key", "ca.crt")
MATERIAL_FILES = _ISTIO.known | _KUBERNETES.known
"""Every name that a set may use."""


def read_generation(files: Mapping[str, bytes], now: float) -> Generation:
    """
    Check a set of files, in istio's names or those of a ``kubernetes.io/tls`` Secret. Others are ignored.

    Raises:
        InputError: anything of it cannot be used; it names the file.

    """
    names = _names_used(files)
    issuer, chain = _issuer_and_chain(names, files)
    key = read_key(names.key, files[names.key])
    if key.public_key() != issuer.certificate.public_key():
        refuse(names.key, "the private key", "another than the certificate's", f"the key of {names.issuer}")
    roots = read_certificates(names.roots, files[names.roots])
    if not roots:
        refuse(names.roots, "the number of certificates", "0", "the mesh's roots")
    path, root = check_chain(issuer, chain, CertificateFile.each(names.roots, roots), now)
    expiries = [certificate.not_valid_after_utc.timestamp() for certificate in (*path, root)]
    return Generation(
        certificate_pem=certificate_text(issuer.certificate),
        key_pem=key_text(key),
        chain=() if is_self_signed(issuer.certificate) else tuple(map(certificate_text, path)),
        roots=tuple(dict.fromkeys(map(certificate_text, roots))),
        not_after=min(expiries),
        digest=issuer.certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _names_used(files: Mapping[str, bytes]) -> _Names:
    present = sorted(MATERIAL_FILES & files.keys())
    forms = [names for names in (_ISTIO, _KUBERNETES) if names.known & files.keys()]
    if len(forms) != 1:
        both = " or ".join(", ".join(names.needed) for names in (_ISTIO, _KUBERNETES))
        refuse("certificates", "the set of files", ", ".join(present) or "empty", f"either {both}")
    missing = [name for name in forms[0].needed if name not in files]
    if missing:
        refuse(missing[0], "the file", "missing", f"{', '.join(forms[0].needed)} together")
    return forms[0]


def _issuer_and_chain(
    names: _Names, files: Mapping[str, bytes]
) -> tuple[CertificateFile, list[CertificateFile]]:
    """Return the issuer and what follows it, as written; istio's form has a file for each."""
    found = read_certificates(names.issuer, files[names.issuer])
    if not found or (names.chain and len(found) > 1):
        also = f", others in {names.chain}" if names.chain else ", then its chain"
        refuse(names.issuer, "the number of certificates", str(len(found)), f"the issuer{also}")
    issuer, *chain = CertificateFile.each(names.issuer, found)
    if names.chain:
        further: list[x509.Certificate] = read_certificates(names.chain, files.get(names.chain, b""))
        chain = CertificateFile.each(names.chain, further)
    return issuer, chain
