"""
Who may read: programs and people at the address they meant, not pages of other sites in a browser.

A page may make its visitor's browser ask any address, ours too. It cannot read the answer of
another site, unless its own name leads to us (DNS rebinding): then the Host header tells. So an
answer is for requests whose Host is an address, ``localhost`` or a name of the flags, on a
loopback port loopback alone; and for requests that no other site's page has made.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from aiohttp import web

from xds_server.debug.question import RefusedError

_LOCALHOST = "localhost"


class Guard:
    """What a listener lets in; ``names`` are what the flags call it, ``bound`` the address it has."""

    def __init__(self, names: Iterable[str], bound: str) -> None:
        self._loopback_only = ip_address(bound).is_loopback
        self._names = {_LOCALHOST, *(name.lower() for name in names)} - {""}

    def check(self, request: web.BaseRequest) -> None:
        """
        Let a request pass.

        Raises:
            RefusedError: it came by another name, or from another site.

        """
        host = request.headers.get("Host", "")
        if not self._is_own(_without_port(host)):
            raise RefusedError(
                403, f"host {host[:100]!r} is not this server: expected its address, or localhost"
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            raise RefusedError(403, f"origin {origin[:100]!r} is another site: expected none, or this server")
        if _is_of_another_page(request):
            raise RefusedError(403, "a page of another site made this request")

    def _is_own(self, host: str) -> bool:
        if host in self._names:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback_only


def _is_of_another_page(request: web.BaseRequest) -> bool:
    """Tell by what browsers add themselves; following a link from elsewhere is no such request."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    navigates = request.headers.get("Sec-Fetch-Mode") == "navigate"
    return site not in ("none", "same-origin") and not navigates


def _without_port(host: str) -> str:
    """Return the name or address of a Host header, an IPv6 one without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")
