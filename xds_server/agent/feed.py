"""
What the control plane says of one node: a client of its delta stream, opened again whenever it ends.

A response is acknowledged when the kernel holds what it says, and rejected while it cannot. A nonce is
answered once: when the kernel's state changes later, the resource is asked for again, and that response
is answered.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from xds_server.agent.channel import METHOD, metadata_of, open_channel
from xds_server.agent.settings import Discovery
from xds_server.agent.told import Told
from xds_server.catalog.resource import NODE_PROGRAM, POD_RANGES
from xds_server.cluster.backoff import Backoff
from xds_server.exceptions import ClusterError, OffmeshError
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
)
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

log = logging.getLogger(__name__)

_RANGES = "ranges"
"""The name of the resource that all agents share."""
_MESSAGES: Mapping[str, Any] = {NODE_PROGRAM: api.NodeProgram, POD_RANGES: api.PodRanges}
_INTERNAL = 13


@dataclass(frozen=True, slots=True)
class Taken:
    """What was said up to now; ``nonces`` are of responses that are not answered yet, by type."""

    told: Told | None
    nonces: Mapping[str, str]


class Feed:
    """``wake`` is called when there is something new to take."""

    def __init__(self, node: str, discovery: Discovery, wake: Callable[[], None]) -> None:
        self._node = node
        self._discovery = discovery
        self._wake = wake
        self._names = {NODE_PROGRAM: node, POD_RANGES: _RANGES}
        self._messages: dict[str, Any] = {}
        self._nonces: dict[str, str] = {}
        self._to_send: asyncio.Queue[DeltaDiscoveryRequest] = asyncio.Queue()
        self._verdicts: dict[str, str] = {}
        """What was answered last on this stream, by type."""
        self._backoff = Backoff(random.random, first=0.5, longest=15.0)
        self.connected = False

    def take(self) -> Taken:
        program, ranges = (self._messages.get(url) for url in _MESSAGES)
        told = Told(program, ranges) if program is not None and ranges is not None else None
        return Taken(told, dict(self._nonces))

    def answer(self, taken: Taken, problem: str = "") -> None:
        """Say whether the kernel holds what was taken."""
        for url, name in self._names.items():
            nonce, open_nonce = taken.nonces.get(url), self._nonces.get(url)
            if nonce is not None and nonce == open_nonce:
                del self._nonces[url]
                self._verdicts[url] = problem
                self._to_send.put_nowait(_answer(url, nonce, problem))
            elif open_nonce is None and self._verdicts.get(url, problem) != problem:
                self._verdicts[url] = problem
                again = DeltaDiscoveryRequest(type_url=url, resource_names_subscribe=[name])
                self._to_send.put_nowait(again)

    async def run(self) -> None:
        """Follow the control plane until cancelled."""
        while True:
            try:
                await self._follow()
                why: OffmeshError = ClusterError("it ended the stream")
            except (OffmeshError, OSError) as error:
                why = error if isinstance(error, OffmeshError) else ClusterError(str(error))
            except grpc.aio.AioRpcError as error:
                why = ClusterError(f"{error.code().name}: {error.details()}")
            pause = self._backoff.after(ClusterError(str(why)))
            log.warning("control plane %s: %s; asked again in %.1f s", self._discovery.address, why, pause)
            await asyncio.sleep(pause)

    async def _follow(self) -> None:
        self._to_send, self._nonces, self._verdicts = asyncio.Queue(), {}, {}
        async with open_channel(self._discovery) as channel:
            call = channel.stream_stream(
                METHOD,
                request_serializer=DeltaDiscoveryRequest.SerializeToString,
                # gRPC makes nothing of a failure here: what is said is read below.
                response_deserializer=bytes,
            )(self._requests(), metadata=metadata_of(self._discovery))
            try:
                async for body in call:
                    self._receive(_response(body))
            finally:
                self.connected = False
                call.cancel()

    async def _requests(self) -> AsyncIterator[DeltaDiscoveryRequest]:
        for url, name in self._names.items():
            request = DeltaDiscoveryRequest(type_url=url, resource_names_subscribe=[name])
            request.node.id = self._node
            yield request
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                yield await self._to_send.get()

    def _receive(self, response: DeltaDiscoveryResponse) -> None:
        if not self.connected:
            log.info("control plane %s: connected", self._discovery.address)
            self.connected = True
            self._backoff.reset()
        url = response.type_url
        name = self._names.get(url)
        if name is None:
            return
        try:
            found = [each.resource.value for each in response.resources if each.name == name]
            if found:
                self._messages[url] = _MESSAGES[url].FromString(found[-1])
        except DecodeError:
            log.error("control plane: %s %s cannot be decoded", url, name)
            self._to_send.put_nowait(_answer(url, response.nonce, f"{name} cannot be decoded"))
            return
        if name in response.removed_resources:
            # What the kernel holds goes on: the pods are there, whatever became of the Node object.
            log.warning("control plane: it knows no %s of %s; what is held stays", url, name)
            self._to_send.put_nowait(_answer(url, response.nonce, ""))
            return
        self._nonces[url] = response.nonce
        self._wake()


def _response(body: bytes) -> DeltaDiscoveryResponse:
    try:
        return DeltaDiscoveryResponse.FromString(body)
    except DecodeError as error:
        raise ClusterError("what it says is no DeltaDiscoveryResponse") from error


def _answer(url: str, nonce: str, problem: str) -> DeltaDiscoveryRequest:
    request = DeltaDiscoveryRequest(type_url=url, response_nonce=nonce)
    if problem:
        request.error_detail.code = _INTERNAL
        request.error_detail.message = problem
    return request
