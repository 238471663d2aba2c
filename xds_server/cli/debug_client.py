"""Asking the debug HTTP of a running server."""

import json
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any

import click

from xds_server.addresses import join_address, split_address
from xds_server.exceptions import InputError, PeerError

_SECONDS = 10.0

http_address_option = click.option(
    "--http-address",
    default="127.0.0.1:15014",
    envvar="OFFMESH_HTTP_ADDRESS",
    show_default=True,
    show_envvar=True,
    help="Debug HTTP of the server.",
)


class DebugClient:
    """One connection to a server; in its block, what goes wrong becomes an error of ours."""

    def __init__(self, address: str) -> None:
        """
        Take the address of a server.

        Raises:
            InputError: the address is none.

        """
        host, port = split_address(address, "--http-address")
        self.address = join_address(host, port)
        self._given = address
        self._connection = HTTPConnection(host or "127.0.0.1", port, timeout=_SECONDS)

    def __enter__(self) -> "DebugClient":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._connection.close()
        if isinstance(error, OSError | HTTPException):
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise PeerError(f"the server at {self._given} cannot be reached: {why}") from None
        if isinstance(error, ValueError | KeyError | TypeError):
            raise PeerError(f"what answers at {self._given} is not the debug HTTP of offmesh") from None

    def ask(self, path: str, *, needed: bool = True) -> Any:
        """
        Return what a path answers, None where there is nothing to tell and that is not ``needed``.

        Raises:
            InputError: the server refuses the question.
            PeerError: it answers with another error.

        """
        self._connection.request("GET", path)
        with self._connection.getresponse() as response:
            told = json.loads(response.read())
        if response.status == 200 or path == "/ready":
            return told
        if response.status == 404 and not needed:
            return None
        if response.status == 400:
            raise InputError(told["error"])
        raise PeerError(f"the server answered {path} with {response.status}: {told['error']}")
