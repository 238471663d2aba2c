"""
A netlink socket: asks the kernel for one thing at a time, and waits for its answer.

It is of the network namespace its thread is in when it is opened. Requests are acknowledged one by one,
so each failure is told of the one that failed, in the kernel's own words where it has some.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType

from xds_server.exceptions import KernelError

ROUTE = 0
NETFILTER = 12

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCL, CREATE = 0x100, 0x200, 0x400

HEADER = struct.Struct("=IHHII")
"""Length with the header, type, flags, sequence number, port."""

_ERROR, _DONE = 2, 3
_INTERRUPTED = 0x10
_SAYS_MORE = 0x200
_SOL_NETLINK = 270
_OPTIONS = (10, 11, 12)
"""Short acknowledgements, the kernel's own words, and dumps that heed what is asked for."""
_RECEIVED = 1 << 16
_SECONDS = 10.0
_ATTEMPTS = 8
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_BITS = 0x3FFF
_WORDS = 1


class RefusedError(KernelError):
    """The kernel refused a request; ``code`` is of ``errno``."""

    def __init__(self, code: int, words: str = "") -> None:
        self.code = code
        super().__init__(f"{os.strerror(code)} ({words})" if words else os.strerror(code))


class Netlink:
    """Asks by one socket, which is closed when ``with`` is left."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._socket.settimeout(_SECONDS)
        self._sequence = 0

    @classmethod
    def of(cls, protocol: int) -> "Netlink":
        """
        Open a socket of a protocol of netlink.

        Raises:
            RefusedError: the kernel has no such protocol.

        """
        try:
            opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        except OSError as error:
            raise RefusedError(error.errno or errno.EIO) from error
        opened.bind((0, 0))
        for option in _OPTIONS:
            with contextlib.suppress(OSError):  # an old kernel says less, and sends more
                opened.setsockopt(_SOL_NETLINK, option, 1)
        return cls(opened)

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, kind: int, flags: int, body: bytes) -> None:
        """
        Ask the kernel for a change.

        Raises:
            RefusedError: it says no, or nothing.

        """
        for _ in self._answers(self._send(kind, flags | REQUEST | ACK, body)):
            pass

    def get(self, kind: int, body: bytes, start: int) -> dict[int, bytes]:
        """
        Return the attributes of one object; its own fields are before ``start``.

        Raises:
            RefusedError: the kernel says no, or nothing.

        """
        answers = list(self._answers(self._send(kind, REQUEST | ACK, body)))
        return attributes(answers[0][1], start) if answers else {}

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """
        Return the bodies of all objects of a kind, from one moment.

        Raises:
            RefusedError: the kernel says no, or does not stop changing.

        """
        for _ in range(_ATTEMPTS):
            answers = list(self._answers(self._send(kind, REQUEST | DUMP, body)))
            if not any(flags & _INTERRUPTED for flags, _ in answers):
                return [answer for _, answer in answers if answer]
        raise RefusedError(errno.EAGAIN, "it changes all the time")

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        self._sequence += 1
        header = HEADER.pack(HEADER.size + len(body), kind, flags, self._sequence, 0)
        try:
            self._socket.send(header + body)
        except OSError as error:
            raise RefusedError(error.errno or errno.ETIMEDOUT) from error
        return self._sequence

    def _answers(self, sequence: int) -> Iterator[tuple[int, bytes]]:
        """Yield flags and body of each message that answers a request, to the last."""
        while True:
            try:
                received = self._socket.recv(_RECEIVED)
            except OSError as error:
                raise RefusedError(error.errno or errno.ETIMEDOUT) from error
            for kind, flags, answered, body in messages(received):
                if answered != sequence:
                    continue
                if kind in (_ERROR, _DONE):
                    _check(kind, flags, body)
                if kind != _ERROR:
                    yield flags, b"" if kind == _DONE else body
                if kind in (_ERROR, _DONE):
                    return


def attributes(body: bytes, start: int = 0) -> dict[int, bytes]:
    """Return a message's attributes by their types; the message's own fields are before ``start``."""
    # Looked up once: a link has forty attributes, and a node hundreds of links.
    found: dict[int, bytes] = {}
    unpack, size, bits = _ATTRIBUTE.unpack_from, _ATTRIBUTE.size, _TYPE_BITS
    last = len(body) - size
    while start <= last:
        length, kind = unpack(body, start)
        if length < size:
            break
        found[kind & bits] = body[start + size : start + length]
        start += (length + 3) & ~3
    return found


def attribute(body: bytes, start: int, wanted: int) -> bytes:
    """Return the first attribute of a type, empty if there is none; what follows it is not looked at."""
    while start + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, start)
        if length < _ATTRIBUTE.size:
            break
        if kind & _TYPE_BITS == wanted:
            return body[start + _ATTRIBUTE.size : start + length]
        start += (length + 3) & ~3
    return b""


def messages(received: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, sequence number and body of each message in what was received."""
    start = 0
    while start + HEADER.size <= len(received):
        length, kind, flags, sequence, _port = HEADER.unpack_from(received, start)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, received[start + HEADER.size : start + length]
        start += (length + 3) & ~3


def _check(kind: int, flags: int, body: bytes) -> None:
    (code,) = struct.unpack_from("=i", body) if len(body) >= 4 else (0,)
    if code:
        more = attributes(body, 4 if kind == _DONE else 4 + HEADER.size) if flags & _SAYS_MORE else {}
        raise RefusedError(-code, more.get(_WORDS, b"").rstrip(b"\0").decode(errors="replace"))
