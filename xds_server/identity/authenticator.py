"""
From what a caller shows to who it is: a bearer token, or else a client certificate.

A token proves more, the pod, so it is looked at first. What it says of the pod must be true in our
own view of the cluster at this moment: a signature does not tell that the pod is gone.
"""

from collections import Counter
from typing import Protocol

from cryptography import x509

from xds_server.exceptions import InputError, UnauthenticatedError
from xds_server.identity.caller import Caller
from xds_server.identity.spiffe import Identity, parse_identity
from xds_server.identity.tokens.claims import TokenClaims

_BEARER = "bearer "


class Tokens(Protocol):
    async def authenticate(self, token: str) -> TokenClaims: ...


class Pods(Protocol):
    """What knows whether the pods of a proof are there."""

    def authenticate_pod(self, claims: TokenClaims) -> Caller: ...
    def authenticate_certificate(self, identity: Identity, expires_at: float) -> Caller: ...


class Authenticator:
    """Tells who calls, and counts how often that succeeded and failed."""

    def __init__(self, tokens: Tokens, pods: Pods) -> None:
        self._tokens = tokens
        self._pods = pods
        self.outcomes: Counter[str] = Counter()
        """``token``, ``certificate`` and ``failed``."""

    async def authenticate(self, authorization: str, certificate: bytes) -> Caller:
        """
        Return the caller with this ``authorization`` header and this verified certificate (DER).

        Raises:
            UnauthenticatedError: neither proves anything that holds.

        """
        try:
            caller = await self._authenticate(authorization, certificate)
        except UnauthenticatedError:
            self.outcomes["failed"] += 1
            raise
        self.outcomes[caller.proof] += 1
        return caller

    async def _authenticate(self, authorization: str, certificate: bytes) -> Caller:
        if authorization:
            if authorization[: len(_BEARER)].lower() != _BEARER:
                raise UnauthenticatedError("the authorization header is no bearer token")
            claims = await self._tokens.authenticate(authorization[len(_BEARER) :].strip())
            return self._pods.authenticate_pod(claims)
        if certificate:
            return self._pods.authenticate_certificate(*_read_certificate(certificate))
        raise UnauthenticatedError("no token: expected the header `authorization: Bearer <token>`")


def _read_certificate(certificate: bytes) -> tuple[Identity, float]:
    """Return the one identity of a certificate whose chain the connection has verified, and its end."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        if len(uris) != 1:
            raise UnauthenticatedError(f"the client certificate names {len(uris)} identities: expected one")
        identity = parse_identity(uris[0])
    except (x509.ExtensionNotFound, ValueError, InputError):
        raise UnauthenticatedError("the client certificate names no identity of a mesh") from None
    return identity, read.not_valid_after_utc.timestamp()
