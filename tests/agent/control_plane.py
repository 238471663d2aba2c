"""A control plane whose every word is a test's: it takes streams, and says what it is told to say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as Packed

from xds_server.agent.settings import Discovery
from xds_server.catalog.resource import NODE_PROGRAM, POD_RANGES
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api
from xds_server.transport.ads import SERVICE

_URLS = {api.NodeProgram: NODE_PROGRAM, api.PodRanges: POD_RANGES}


class AgentStream:
    """One stream of one agent."""

    def __init__(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        self._context = context
        self._ended = asyncio.Event()
        self.metadata = dict(context.invocation_metadata() or ())

    async def asked(self) -> xds.DeltaDiscoveryRequest:
        """Return the agent's next request."""
        request = await self._context.read()
        assert isinstance(request, xds.DeltaDiscoveryRequest), "the agent has ended the stream"
        return request

    async def begun(self) -> "AgentStream":
        """Take the requests that every stream begins with."""
        for _ in _URLS:
            await self.asked()
        return self

    async def say(self, message: api.NodeProgram | api.PodRanges, nonce: str) -> None:
        name = message.node if isinstance(message, api.NodeProgram) else "ranges"
        await self.send(_URLS[type(message)], nonce, {name: message.SerializeToString()})

    async def send(
        self, url: str, nonce: str, bodies: dict[str, bytes] | None = None, removed: tuple[str, ...] = ()
    ) -> None:
        resources = [
            xds.Resource(name=name, version="1", resource=Packed(type_url=url, value=body))
            for name, body in (bodies or {}).items()
        ]
        await self._context.write(
            xds.DeltaDiscoveryResponse(
                type_url=url, nonce=nonce, resources=resources, removed_resources=removed
            )
        )

    async def send_bytes(self, response: bytes) -> None:
        await self._context.write(response)

    def end(self) -> None:
        self._ended.set()

    async def until_ended(self) -> None:
        await self._ended.wait()


class ControlPlane:
    """Streams are taken in the order they come."""

    def __init__(self) -> None:
        self.address = ""
        self._streams: asyncio.Queue[AgentStream] = asyncio.Queue()
        self._open: set[AgentStream] = set()

    @property
    def discovery(self) -> Discovery:
        return Discovery(address=self.address, insecure=True)

    async def stream(self) -> AgentStream:
        """Return the next stream, when the agent has opened it."""
        return await self._streams.get()

    async def serve(self, _requests: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        stream = AgentStream(context)
        self._open.add(stream)
        await self._streams.put(stream)
        await stream.until_ended()

    def end_all(self) -> None:
        for stream in self._open:
            stream.end()


@asynccontextmanager
async def control_plane(
    address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[ControlPlane]:
    plane, server = ControlPlane(), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    method = grpc.stream_stream_rpc_method_handler(
        plane.serve,
        request_deserializer=xds.DeltaDiscoveryRequest.FromString,
        response_serializer=_bytes,
    )
    handler = grpc.method_handlers_generic_handler(SERVICE, {"DeltaAggregatedResources": method})
    server.add_generic_rpc_handlers((handler,))
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    plane.address = f"127.0.0.1:{port}"
    try:
        yield plane
    finally:
        plane.end_all()
        await server.stop(None)


def _bytes(response: xds.DeltaDiscoveryResponse | bytes) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()
