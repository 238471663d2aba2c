"""Requests as they come: bytes to messages."""

from typing import TypeVar

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
