"""
One gRPC call on an HTTP/2 connection of its own, without I/O: bytes in, messages out.

A load client shares the machine with the server it measures, and hundreds of streams answer every
change at once: what it costs to read and acknowledge a message is part of each figure. A general
client spends five times the processor on it. This knows just what one call needs (RFC 9113):
no header compression of its own, no second stream, no pushes.
"""

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = 4 << 20
"""Bytes a peer may have on the way to us, on the stream and on the connection."""

_DEFAULT_WINDOW = 65_535
_MAX_FRAME = 16_384
_STREAM = 1
_END_STREAM = _ACK = 0x1
_END_HEADERS = 0x4
_PADDED = 0x8
_INITIAL_WINDOW_SIZE = 4
_HEAD = struct.Struct(">BHBBL")
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")
_PREFIX = struct.Struct(">BL")


class Frame(IntEnum):
    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8


class Http2Call:
    """
    The client's side of the call.

    After any other call send what :meth:`data_to_send` returns. ``ended`` says why no more can come.
    """

    def __init__(self, authority: str, path: str) -> None:
        self.ended = ""
        self._received = bytearray()
        self._body = bytearray()
        self._unconfirmed = 0
        self._out = bytearray(PREFACE)
        self._waiting = bytearray()
        self._peer_initial = self._stream_window = self._connection_window = _DEFAULT_WINDOW
        self._put(Frame.SETTINGS, 0, _SETTING.pack(_INITIAL_WINDOW_SIZE, WINDOW), stream=0)
        self._put(Frame.WINDOW_UPDATE, 0, _NUMBER.pack(WINDOW - _DEFAULT_WINDOW), stream=0)
        self._put(Frame.HEADERS, _END_HEADERS, _request_headers(authority, path))

    def send_message(self, message: bytes) -> None:
        self._waiting += _PREFIX.pack(0, len(message)) + message
        self._fill()

    def data_to_send(self) -> bytes:
        data, self._out = bytes(self._out), bytearray()
        return data

    def receive_data(self, data: bytes) -> list[bytes]:
        """Take what the peer sent; return the messages that are complete now."""
        received = self._received
        received += data
        at = 0
        while len(received) - at >= _HEAD.size:
            high, low, kind, flags, stream = _HEAD.unpack_from(received, at)
            end = at + _HEAD.size + (high << 16 | low)
            if end > len(received):
                break
            self._receive_frame(kind, flags, stream, bytes(received[at + _HEAD.size : end]))
            at = end
        del received[:at]
        return self._messages()

    def _messages(self) -> list[bytes]:
        messages, body, at = [], self._body, 0
        while len(body) - at >= _PREFIX.size:
            _, length = _PREFIX.unpack_from(body, at)
            start = at + _PREFIX.size
            if start + length > len(body):
                break
            messages.append(bytes(body[start : start + length]))
            at = start + length
        if at:
            del body[:at]
        return messages

    def _receive_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == Frame.DATA:
            self._receive_body(flags, payload)
        elif kind == Frame.SETTINGS and not flags & _ACK:
            self._receive_settings(payload)
        elif kind == Frame.PING and not flags & _ACK:
            self._put(Frame.PING, _ACK, payload, stream=0)
        elif kind == Frame.WINDOW_UPDATE:
            self._receive_window(stream, _NUMBER.unpack(payload)[0])
        elif kind == Frame.RST_STREAM:
            self.ended = f"the stream was reset with code {_NUMBER.unpack(payload)[0]}"
        elif kind == Frame.HEADERS and flags & _END_STREAM:
            self.ended = "the server ended the call"

    def _receive_body(self, flags: int, payload: bytes) -> None:
        self._body += payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
        self._unconfirmed += len(payload)
        if self._unconfirmed > WINDOW // 2:
            for stream in (0, _STREAM):
                self._put(Frame.WINDOW_UPDATE, 0, _NUMBER.pack(self._unconfirmed), stream)
            self._unconfirmed = 0
        if flags & _END_STREAM:
            self.ended = "the server ended the call"

    def _receive_settings(self, payload: bytes) -> None:
        for setting, value in _SETTING.iter_unpack(payload):
            if setting == _INITIAL_WINDOW_SIZE:
                self._stream_window += value - self._peer_initial
                self._peer_initial = value
        self._put(Frame.SETTINGS, _ACK, b"", stream=0)
        self._fill()

    def _receive_window(self, stream: int, more: int) -> None:
        if stream:
            self._stream_window += more
        else:
            self._connection_window += more
        self._fill()

    def _fill(self) -> None:
        """Move as much of what waits into frames as the peer's windows allow."""
        while self._waiting:
            room = min(len(self._waiting), self._stream_window, self._connection_window, _MAX_FRAME)
            if room <= 0:
                return
            self._put(Frame.DATA, 0, bytes(self._waiting[:room]))
            del self._waiting[:room]
            self._stream_window -= room
            self._connection_window -= room

    def _put(self, kind: Frame, flags: int, payload: bytes, stream: int = _STREAM) -> None:
        length = len(payload)
        self._out += _HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def _request_headers(authority: str, path: str) -> bytes:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": authority,
        "content-type": "application/grpc",
        "te": "trailers",
        "user-agent": "offmesh-load",
    }
    # Literals that are not indexed (RFC 7541, 6.2.2): a zero, then name and value with their lengths.
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())


def _text(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()
