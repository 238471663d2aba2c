"""When a node's kernel has changed, seen from outside of the agent that changes it."""

import socket
import struct
import threading
import time
from ipaddress import IPv4Address

from tests.helpers.lab.namespaces import Namespace
from xds_server.datapath.names import Names
from xds_server.datapath.netlink import NETFILTER, ROUTE, Netlink, attributes, messages
from xds_server.datapath.set_members import members_of

_NEW_ROUTE, _DELETE_ROUTE = 24, 25
_GROUP_OF_ROUTES = 1 << 6
_ROUTE_HEADER = struct.Struct("=BBBBBBBBI")
_DESTINATION = 1
_ROOM, _FORCE = 1 << 22, 33
"""Of the socket; it is more than a process without rights may have."""
_PAUSE_SECONDS = 0.0003
_LISTEN_SECONDS = 0.2
_SECONDS = 20.0


class News:
    """Of the routes of a node to single addresses, and of its set of meshed pods; until ``close``."""

    def __init__(self, node: Namespace) -> None:
        self._told: dict[tuple[int, bytes], float] = {}
        self.last = 0.0
        """When the last route came or went."""
        self._arrived = threading.Condition()
        self._routes = node.socket(socket.SOCK_RAW, socket.AF_NETLINK, ROUTE)
        self._routes.setsockopt(socket.SOL_SOCKET, _FORCE, _ROOM)
        self._routes.settimeout(_LISTEN_SECONDS)
        self._routes.bind((0, _GROUP_OF_ROUTES))
        self._asking = node.socket(socket.SOCK_RAW, socket.AF_NETLINK, NETFILTER)
        self._sets = Netlink(self._asking)
        self._closed = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def changed(
        self, address: IPv4Address, since: float, *, meshed: bool, seconds: float = _SECONDS
    ) -> float:
        """
        Wait until an address has its route and is in the set, or has none and is not; return when it was so.

        Raises:
            TimeoutError: it has not come to be so.

        """
        key = (_NEW_ROUTE if meshed else _DELETE_ROUTE, address.packed)
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._told.get(key, 0.0) > since, seconds):
                raise TimeoutError(f"no news of a route to {address} in {seconds:g} s")
            at = self._told[key]
        while self._is_member(address) is not meshed:
            if time.time() > since + seconds:
                raise TimeoutError(f"the set was not changed for {address} in {seconds:g} s")
            time.sleep(_PAUSE_SECONDS)
            at = time.time()
        return at

    def close(self) -> None:
        self._closed = True
        self._thread.join()
        self._routes.close()
        self._asking.close()

    def _is_member(self, address: IPv4Address) -> bool:
        return address.packed in (members_of(self._sets, Names().pods_set) or b"")

    def _listen(self) -> None:
        while not self._closed:
            try:
                received = self._routes.recv(1 << 16)
            except TimeoutError:
                continue
            self._read(received, time.time())

    def _read(self, received: bytes, now: float) -> None:
        with self._arrived:
            for kind, _, _, body in messages(received):
                to = attributes(body, _ROUTE_HEADER.size).get(_DESTINATION, b"")
                self._told[kind, to] = self.last = now
            self._arrived.notify_all()
