"""
Protobuf framing by hand, for what is sent often: joining bytes that are already encoded.

A ``Resource`` is laid out with its Any last. So the tail of one entry of a delta response is, byte
for byte, one entry of a state-of-the-world response: both have field 2 as their resources.
"""

from collections.abc import Iterable
from hashlib import blake2b

_RESOURCES = b"\x12"  # field 2 of both responses, and of Resource its Any


def varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def text_field(number: int, text: str) -> bytes:
    """Encode one string field (number below 16); an empty string is absent, as proto3 has it."""
    return text_entry(number, text) if text else b""


def text_entry(number: int, text: str) -> bytes:
    """Encode one element of a repeated string field, also when empty."""
    data = text.encode()
    return bytes((number << 3 | 2,)) + varint(len(data)) + data


def content_version(body: bytes) -> str:
    """Return a version that is a function of content alone: equal on replicas and after a restart."""
    return blake2b(body, digest_size=8).hexdigest()


def any_entry(type_url_field: bytes, body: bytes) -> bytes:
    """Frame a message as ``Any`` in field 2; ``type_url_field`` is its field 1, encoded."""
    value = b"\x12" + varint(len(body)) + body if body else b""
    return _RESOURCES + varint(len(type_url_field) + len(value)) + type_url_field + value


def resource_entry(name: str, version: str, packed: bytes, aliases: Iterable[str] = ()) -> bytes:
    """Frame a ``Resource`` as entry of a delta response; ``packed`` comes from :func:`any_entry`."""
    head = text_field(1, version) + text_field(3, name) + b"".join(text_entry(4, alias) for alias in aliases)
    return _RESOURCES + varint(len(head) + len(packed)) + head + packed


def delta_response(
    type_url: str, version: str, nonce: str, entries: Iterable[bytes], removed: Iterable[str]
) -> bytes:
    """Encode a ``DeltaDiscoveryResponse``."""
    tail = [text_field(4, type_url), text_field(5, nonce), *(text_entry(6, name) for name in removed)]
    return b"".join([text_field(1, version), *entries, *tail])


def state_of_the_world_response(type_url: str, version: str, nonce: str, packed: Iterable[bytes]) -> bytes:
    """Encode a ``DiscoveryResponse``."""
    return b"".join([text_field(1, version), *packed, text_field(4, type_url), text_field(5, nonce)])
