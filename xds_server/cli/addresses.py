"""Which addresses other machines cannot reach."""

import contextlib
from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return False
