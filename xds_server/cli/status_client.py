"""Asking a running server's debug HTTP."""

import json
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException
from typing import Any

from xds_server.debug.address import join_address, split_address
from xds_server.exceptions import PeerError

_SECONDS = 10.0


def ask(address: str, paths: Iterable[str]) -> list[tuple[int, Any]]:
    """
    Return HTTP status and JSON of each path.

    Raises:
        InputError: the address is none.
        PeerError: the server cannot be reached, or is not ours.

    """
    host, port = split_address(address, "--http-address")
    connection = HTTPConnection(host or "127.0.0.1", port, timeout=_SECONDS)
    try:
        return [_ask_one(connection, path) for path in paths]
    except (OSError, HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        place = join_address(host or "127.0.0.1", port)
        raise PeerError(f"the server at http://{place} cannot be reached: {why}") from None
    except ValueError:
        raise PeerError(f"{address} answers, but not as offmesh: expected its debug HTTP there") from None
    finally:
        connection.close()


def _ask_one(connection: HTTPConnection, path: str) -> tuple[int, Any]:
    connection.request("GET", path)
    with connection.getresponse() as response:
        return response.status, json.loads(response.read())
