"""Addresses to listen on: ``HOST:PORT``, ``[IPv6]:PORT``, ``:PORT`` for every interface."""

import contextlib
from ipaddress import ip_address

from xds_server.exceptions import InputError


def check_address(flag: str, address: str) -> str:
    """
    Return the host of an address, without brackets.

    Raises:
        InputError: it is no address; names the flag.

    """
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    unbracketed = ":" in bare and host == bare
    if not colon or unbracketed or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InputError(f"{flag} is {address!r}: expected HOST:PORT, [IPv6]:PORT or :PORT")
    return bare


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return False
