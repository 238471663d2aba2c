"""Requests as they come: bytes to messages."""

from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from xds_server.exceptions import PeerError

M = TypeVar("M", bound=Message)


def decode(kind: type[M], data: bytes) -> M:
    """
    Decode one request.

    Raises:
        PeerError: the bytes are no such message.

    """
    message = kind()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise PeerError(f"the request is no {kind.DESCRIPTOR.full_name}") from None
    return message


async def read_only_message(context: grpc.aio.ServicerContext[bytes, bytes], longest: int) -> bytes:
    """
    Read the one request of a unary call, and its end: a call that is answered before is reset by gRPC.

    Raises:
        PeerError: there is none, there are more, or it is longer than ``longest`` bytes.

    """
    data: Any = await context.read()
    if data is grpc.aio.EOF:
        raise PeerError("the call has no request")
    following: Any = await context.read()
    if following is not grpc.aio.EOF:
        raise PeerError("the call has more than one request")
    if len(data) > longest:
        raise PeerError(f"a request of {len(data)} bytes: expected at most {longest}")
    return bytes(data)
