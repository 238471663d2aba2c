"""SPIFFE identities as the mesh writes them: ``spiffe://<trust domain>/ns/<namespace>/sa/<account>``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from xds_server.exceptions import InputError

# What Kubernetes allows for names; so no identity can hold a slash, a dot segment or an escape.
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_FORM = re.compile(rf"spiffe://({_NAME})/ns/({_LABEL})/sa/({_NAME})")
_ACCOUNT = re.compile(rf"({_LABEL})/({_NAME})")
_LENGTH = 2_048
_SHOWN = 200
EXPECTED = "spiffe://<trust domain>/ns/<namespace>/sa/<service account>"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A service account of a trust domain."""

    trust_domain: str
    namespace: str
    service_account: str

    @property
    def account(self) -> str:
        """``namespace/service account``."""
        return f"{self.namespace}/{self.service_account}"

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


def parse_identity(text: str) -> Identity:
    """
    Read an identity.

    Raises:
        InputError: the text is no identity of a mesh.

    """
    found = _FORM.fullmatch(text) if len(text) <= _LENGTH else None
    if found is None:
        raise InputError(f"identity {text[:_SHOWN]!r}: expected {EXPECTED}")
    return Identity(*found.groups())


def parse_account(text: str) -> str:
    """
    Check a ``namespace/name`` of a service account and return it.

    Raises:
        InputError: the text names no service account.

    """
    if len(text) > _LENGTH or _ACCOUNT.fullmatch(text) is None:
        raise InputError(f"service account {text[:_SHOWN]!r}: expected <namespace>/<name>")
    return text


def namespaces_of(accounts: Iterable[str]) -> frozenset[str]:
    """Return the namespaces of service accounts, each ``namespace/name``."""
    return frozenset(account.partition("/")[0] for account in accounts)
