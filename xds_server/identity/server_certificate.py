"""
The secure port's own certificate: issued by the mesh's authority, renewed while it serves.

Its key never leaves memory. Names: facts wds, 1.1.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import NamedTuple

from cryptography import x509

from xds_server.identity.authority.pem import certificate_text, key_text
from xds_server.identity.signing.signer import Authority
from xds_server.identity.signing.template import (
    Validity,
    new_key,
    read_issuer,
    sign_leaf,
)
from xds_server.settings import ServeSettings

_LIFETIME_SECONDS = 86_400
_LABEL = r"[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?"
_DNS_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_LOCAL = ("localhost", "127.0.0.1", "::1")


def names_of(settings: ServeSettings) -> tuple[str, ...]:
    """Return every name and address clients may know this server by."""
    namespace, suffix = settings.mesh.istio_namespace, settings.mesh.domain_suffix
    services = [f"{name}.{namespace}.svc" for name in ("istiod", "istiod-remote", "istio-pilot", "offmesh")]
    full = [f"{service}.{suffix}" for service in services]
    return tuple(dict.fromkeys([*services, *full, *_LOCAL, *settings.identity.tls_sans]))


class ServedPair(NamedTuple):
    """Chain and key to serve with, PEM."""

    chain: str
    key: str

    def __repr__(self) -> str:
        return "ServedPair(...)"


class ServerCertificate:
    """Makes the pair at half of its life or when the issuer changes. Handshakes ask from other threads."""

    def __init__(
        self,
        authority: Authority,
        names: Iterable[str],
        clock_skew_seconds: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._authority = authority
        self._names = [_general_name(name) for name in names]
        self._skew = clock_skew_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._issuer = ""
        self._renew_at = 0.0

    def newer(self) -> ServedPair | None:
        """
        Return a new pair if one is due, else None.

        Raises:
            InputError: the authority cannot sign.

        """
        with self._lock:
            generation = self._authority.signing
            now = self._clock()
            if generation.digest == self._issuer and now < self._renew_at:
                return None
            not_after = min(now + _LIFETIME_SECONDS, generation.not_after)
            key = new_key()
            leaf = sign_leaf(
                read_issuer(generation.certificate_pem, generation.key_pem),
                key.public_key(),
                self._names,
                Validity(int(now) - self._skew, int(not_after)),
            )
            self._issuer, self._renew_at = generation.digest, (now + not_after) / 2
            return ServedPair("".join((certificate_text(leaf), *generation.chain)), key_text(key))


def is_server_name(text: str) -> bool:
    """Tell whether a certificate can name a server so: by a DNS name, also a wildcard, or an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return _DNS_NAME.fullmatch(text) is not None and len(text) <= 253
    return True


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
