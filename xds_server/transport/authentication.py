"""Who makes a call, from its metadata and its connection."""

from collections.abc import Callable
from typing import Protocol

from xds_server.exceptions import UnauthenticatedError
from xds_server.identity.authenticator import Authenticator
from xds_server.identity.caller import Caller
from xds_server.transport.stream import Context
from xds_server.transport.tls_front import Connection

_LONGEST = 64 << 10


class Authentication(Protocol):
    """How a port tells who calls."""

    async def caller(self, context: Context) -> Caller | None:
        """
        Return who calls, None where nobody is asked.

        Raises:
            UnauthenticatedError: the caller did not prove who it is.

        """

    def address(self, context: Context) -> str:
        """Return where the call comes from, for logs and views."""


class NoAuthentication:
    """The plaintext port asks nobody; what needs a caller is not to be had there."""

    async def caller(self, _context: Context) -> None:
        return None

    def address(self, context: Context) -> str:
        return context.peer()


class ProofRequired:
    """The secure port: a token in the metadata, or the certificate of the connection."""

    def __init__(self, authenticator: Authenticator, connection: Callable[[str], Connection]) -> None:
        self._authenticator = authenticator
        self._connection = connection
        """From what gRPC calls the peer of a call to its connection."""

    async def caller(self, context: Context) -> Caller:
        values = [
            value for key, value in context.invocation_metadata() or () if key.lower() == "authorization"
        ]
        if len(values) > 1:
            raise UnauthenticatedError(f"{len(values)} authorization headers: expected one")
        certificate = self._connection(context.peer()).certificate
        return await self._authenticator.authenticate(_text(values[0]) if values else "", certificate)

    def address(self, context: Context) -> str:
        return self._connection(context.peer()).address


def required(caller: Caller | None) -> Caller:
    """
    Return the caller of a call that must have one.

    Raises:
        UnauthenticatedError: the port asks nobody.

    """
    if caller is None:
        raise UnauthenticatedError("this port authenticates nobody: use the secure one")
    return caller


def _text(value: str | bytes) -> str:
    text = value if isinstance(value, str) else value.decode("ascii", "replace")
    if len(text) > _LONGEST:
        raise UnauthenticatedError(f"an authorization header of {len(text)} characters")
    return text
