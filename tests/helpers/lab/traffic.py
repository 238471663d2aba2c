"""
What clients do: ask a server over TCP, UDP or by ping, and tell what came of it.

A client reads until the other side has ended, so that the last packet of a connection is through when its
answer is there.
"""

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from tests.helpers.lab.namespaces import Namespace

PATIENCE = 5.0
"""Seconds. An answer comes within milliseconds, unless the machine has much else to do."""
SHORT_PATIENCE = 0.3
"""Seconds, for answers that are not expected."""
_IP_BIND_ADDRESS_NO_PORT = 24
_echoes = itertools.count(1)
"""Each its own: one that conntrack knows already would be the later packet of an earlier echo."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answered, and the address that it was asked from; both empty when nobody did."""

    server: str = ""
    seen: str = ""

    def __str__(self) -> str:
        return f"{self.server} sees {self.seen}" if self.server else "no answer"


NOBODY = Answer()


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is, from which address it is asked, and for how many seconds one waits for it."""

    address: str
    port: int = 0
    source: str = ""
    patience: float = PATIENCE


def ask_tcp(client: Namespace, server: Server) -> Answer:
    """Exchange a few messages; those that follow the first take another way than it."""
    with contextlib.suppress(OSError), connected(client, server) as connection:
        answer = connection.hello
        for number in range(3):
            connection.exchange(f"message {number}".encode())
        connection.end()
        return answer
    return NOBODY


def ask_udp(client: Namespace, server: Server) -> Answer:
    with contextlib.suppress(OSError), client.socket(socket.SOCK_DGRAM) as sock:
        sock.settimeout(server.patience)
        _take_source(sock, server)
        # Connected: an answer from another address than the one that was asked is none.
        sock.connect((server.address, server.port))
        answer = NOBODY
        for number in range(2):
            sock.send(f"message {number}".encode())
            answer = _answer(sock.recv(4096).split(b"\n")[0])
        return answer
    return NOBODY


def ping(client: Namespace, server: Server) -> Answer:
    """Send an echo request; who answers tells neither its name nor whom it saw."""
    with (
        contextlib.suppress(OSError),
        client.socket(socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP) as sock,
    ):
        sock.settimeout(server.patience)
        sock.connect((server.address, 0))
        identifier = next(_echoes) & 0xFFFF
        request = struct.pack("!BBHHH", 8, 0, 0, identifier, 1) + b"x" * 16
        sock.send(request[:2] + _checksum(request) + request[4:])
        while struct.unpack_from("!BxxxH", sock.recv(2048), 20) != (0, identifier):
            pass
        return Answer("echo")
    return NOBODY


class Connection:
    """A TCP connection that stays open."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._lines = sock.makefile("rb")
        self.hello = _answer(self._lines.readline())
        """Who answers, and whom it sees."""

    def exchange(self, message: bytes) -> None:
        """
        Send a message and read it back.

        Raises:
            OSError: it did not come back, or not as it was.

        """
        sender = threading.Thread(target=self._send, args=(message,))
        sender.start()
        came_back = self._lines.read(len(message))
        sender.join()
        if came_back != message:
            raise ConnectionError(f"sent {len(message)} bytes, {len(came_back)} came back")

    def end(self) -> None:
        """
        Say that this is all, and wait until the other side has said so too.

        Raises:
            OSError: it did not.

        """
        self._socket.shutdown(socket.SHUT_WR)
        if self._lines.read():
            raise ConnectionError("more came than was sent")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(message)


@contextlib.contextmanager
def connected(client: Namespace, server: Server) -> Iterator[Connection]:
    """
    Open a connection that is closed when the block ends.

    Raises:
        OSError: nobody answers.

    """
    with contextlib.ExitStack() as held:
        sock = held.enter_context(client.socket(socket.SOCK_STREAM))
        sock.settimeout(server.patience)
        _take_source(sock, server)
        sock.connect((server.address, server.port))
        connection = Connection(sock)
        held.callback(connection.close)
        if connection.hello == NOBODY:
            raise ConnectionError("closed before a word was said")
        yield connection


def _take_source(sock: socket.socket, server: Server) -> None:
    # The port is left to ``connect``, which takes an even one while ``bind`` takes an odd one. So a proxy
    # that binds to its client's address never has its client's port as well: the two would be one.
    if server.source:
        sock.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((server.source, 0))


def _answer(line: bytes) -> Answer:
    words = line.decode().split()
    return Answer(*words) if len(words) == 2 else NOBODY


def _checksum(message: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total >> 16) + (total & 0xFFFF)
    return struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF)
