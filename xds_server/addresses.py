"""Addresses to listen at, as flags write them."""

import asyncio
import errno
import socket

from xds_server.exceptions import InputError

_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def split_address(address: str, flag: str) -> tuple[str, int]:
    """
    Split ``host:port`` or ``[IPv6]:port``; no host is every address of the machine.

    Raises:
        InputError: it is neither, naming the flag.

    """
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_port = bool(colon) and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535
    if not is_port or (bare == host and ":" in host):
        expected = "expected HOST:PORT, such as 127.0.0.1:15014 or [::1]:15014"
        raise InputError(f"{flag} {address}: {expected}")
    return bare, int(port)


async def listen(address: str, flag: str) -> socket.socket:
    """
    Bind an address and listen there; port 0 picks a free one.

    Raises:
        InputError: it cannot be bound, naming the flag.

    """
    host, port = split_address(address, flag)
    try:
        if not host:
            return _listen_everywhere(port)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # A name of both families is one address here: IPv4, where clients look first.
        family, *_, place = min(found)
        return socket.create_server(place[:2], family=family)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{flag} {address}: cannot be bound: {why}") from None


def bound_address(listening: socket.socket) -> tuple[str, int]:
    host, port = listening.getsockname()[:2]
    return str(host), int(port)


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen_everywhere(port: int) -> socket.socket:
    """Listen on both families at once; on IPv4 alone where the machine has no IPv6."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("", port))
