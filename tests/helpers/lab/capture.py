"""
Packets as they pass the devices of namespaces, in the order in which they did.

All namespaces are of one kernel and have one clock, so that the way of a packet can be followed from one to
the next.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.helpers.lab.namespaces import Namespace

_ALL_PROTOCOLS, _IPV4 = 0x0003, 0x0800
_SO_TIMESTAMPNS = 35
_OUTGOING = 4
_FLAGS = (("SYN", 0x02), ("ACK", 0x10), ("FIN", 0x01), ("RST", 0x04))
_VXLAN_HEADERS = 8 + 8 + 14
"""UDP, VXLAN and Ethernet, in front of the packet within."""


@dataclass(frozen=True, slots=True, order=True)
class Hop:
    """A packet at a device; ``packet`` begins with its IPv4 header."""

    nanoseconds: int
    host: str
    device: str
    is_out: bool
    packet: bytes

    def __str__(self) -> str:
        return f"{self.host:5} {'out' if self.is_out else 'in ':3} {self.device:9} {told(self.packet)}"


class Capture:
    """Sees all packets from its making to its closing."""

    def __init__(self, inside: Mapping[str, Namespace]) -> None:
        self._sockets: dict[str, socket.socket] = {}
        for name, namespace in inside.items():
            listening = namespace.socket(socket.SOCK_DGRAM, socket.AF_PACKET, socket.htons(_ALL_PROTOCOLS))
            listening.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            listening.setblocking(False)
            self._sockets[name] = listening

    def hops(self) -> list[Hop]:
        """Return what has passed since this was last asked, first of all what was first."""
        return sorted(hop for name, listening in self._sockets.items() for hop in _received(name, listening))

    def close(self) -> None:
        for listening in self._sockets.values():
            listening.close()


@contextlib.contextmanager
def capture(inside: Mapping[str, Namespace]) -> Iterator[Capture]:
    made = Capture(inside)
    try:
        yield made
    finally:
        made.close()


def told(packet: bytes) -> str:
    """Tell a packet in words: from whom to whom, and what it is."""
    length, protocol = (packet[0] & 0xF) * 4, packet[9]
    source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
    if protocol == socket.IPPROTO_TCP:
        ports, flags = struct.unpack_from("!HH", packet, length), packet[length + 13]
        names = " ".join(name for name, bit in _FLAGS if flags & bit)
        text = packet[length + (packet[length + 12] >> 4) * 4 :].decode(errors="replace").strip()
        return f"{source}:{ports[0]} > {destination}:{ports[1]} {text or names}"
    if protocol == socket.IPPROTO_UDP:
        port = struct.unpack_from("!H", packet, length + 2)[0]
        return f"{source} > {destination}:{port} [{told(packet[length + _VXLAN_HEADERS :])}]"
    return f"{source} > {destination} protocol {protocol}"


def _received(name: str, listening: socket.socket) -> Iterator[Hop]:
    while True:
        try:
            packet, extra, _, address = listening.recvmsg(1 << 16, 64)
        except BlockingIOError:
            return
        device, protocol, kind = address[:3]
        stamps = [struct.unpack("@qq", data[:16]) for _, what, data in extra if what == _SO_TIMESTAMPNS]
        if protocol == _IPV4 and stamps and device != "lo":
            seconds, nanoseconds = stamps[0]
            yield Hop(seconds * 10**9 + nanoseconds, name, device, kind == _OUTGOING, packet)
