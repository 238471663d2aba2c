"""
A signing process: reads work from its standard input, writes what came of it to its output.

It lives until its input ends, so it cannot outlive its parent. Its memory holds issuer keys.
"""

import sys
from typing import BinaryIO

import msgspec

from xds_server.identity.signing.work import Work, perform

LENGTH_BYTES = 4
_decoder = msgspec.msgpack.Decoder(Work)
_encoder = msgspec.msgpack.Encoder()


def frame(message: bytes) -> bytes:
    """Put the length of a message before it."""
    return len(message).to_bytes(LENGTH_BYTES, "big") + message


def run(source: BinaryIO, target: BinaryIO) -> None:
    """Work until the source ends."""
    while head := source.read(LENGTH_BYTES):
        work = _decoder.decode(source.read(int.from_bytes(head, "big")))
        target.write(frame(_encoder.encode(perform(work))))
        target.flush()


if __name__ == "__main__":
    run(sys.stdin.buffer, sys.stdout.buffer)
