"""Thousands of objects for an API server in seconds: put into its store, past the server."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import grpc.aio

from tests.helpers.api_server import ApiServer

_PUTS_AT_ONCE = 32
_PREFIXES = {
    "EndpointSlice": "endpointslices",
    "Lease": "leases",
    "Namespace": "namespaces",
    "Node": "minions",
    "Pod": "pods",
    "Service": "services/specs",
    "ServiceAccount": "serviceaccounts",
}
"""Where an API server keeps a kind, in the words of its beginnings."""


async def store(server: ApiServer, objects: Iterable[dict[str, Any]]) -> int:
    """
    Store objects as they are, and return how many: nothing checks or completes them.

    Each is written by itself, so that each has a resource version of its own. Clients see them as
    they see any other, a watch included, though a moment after this returns.
    """
    left, count = iter(objects), 0
    async with grpc.aio.insecure_channel(server.etcd_url.removeprefix("http://")) as channel:
        put: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/etcdserverpb.KV/Put")

        async def write() -> None:
            nonlocal count
            for item in left:
                await put(_field(1, _key(item)) + _field(2, json.dumps(item).encode()))
                count += 1

        async with asyncio.TaskGroup() as writers:
            for _ in range(_PUTS_AT_ONCE):
                writers.create_task(write())
    return count


def _key(item: dict[str, Any]) -> bytes:
    meta = item["metadata"]
    inside = f"{meta['namespace']}/" if "namespace" in meta else ""
    return f"/registry/{_PREFIXES[item['kind']]}/{inside}{meta['name']}".encode()


def _field(number: int, value: bytes) -> bytes:
    """Encode a bytes field of a protobuf message, as etcd's PutRequest has two."""
    length, encoded = len(value), bytearray([number << 3 | 2])
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(encoded) + bytes([length]) + value
