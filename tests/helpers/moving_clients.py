"""Clients that go from server to server as ztunnel does, and notice what is sent to them in vain."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as discovery

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_ADDRESS = "type.googleapis.com/istio.workload.Address"
_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 15.0


@dataclass
class MovingClient:
    """Holds a stream to the first of its servers that takes it, and comes back with what it holds."""

    id: str
    servers: Sequence[str]
    held: dict[str, str] = field(default_factory=dict)
    """Version of each resource."""
    server: str = ""
    """Where the stream is; '' while there is none."""
    streams: int = 0
    resent: int = 0
    """Resources that came though they were held in just that version."""
    removed: int = 0
    responses: int = 0

    async def run(self) -> None:
        """Keep a stream, for ever."""
        pause = _FIRST_PAUSE
        while True:
            for server in self.servers:
                if await self._hold_stream(server):
                    pause = _FIRST_PAUSE
                    break
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _hold_stream(self, server: str) -> bool:
        """Follow a server until the stream ends; return whether there was one."""
        established = False
        async with grpc.aio.insecure_channel(
            server, options=[("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            call: Any = channel.stream_stream(_METHOD, None, discovery.DeltaDiscoveryResponse.FromString)()
            try:
                first = discovery.DeltaDiscoveryRequest(
                    type_url=_ADDRESS, initial_resource_versions=self.held
                )
                first.node.id = self.id
                await call.write(first.SerializeToString())
                async for response in call:
                    self.streams += not established
                    self.server, established = server, True
                    self._receive(response)
                    nonce = response.nonce
                    answer = discovery.DeltaDiscoveryRequest(type_url=_ADDRESS, response_nonce=nonce)
                    await call.write(answer.SerializeToString())
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            finally:
                self.server = ""
                call.cancel()
        return established

    def _receive(self, response: discovery.DeltaDiscoveryResponse) -> None:
        self.responses += 1
        for resource in response.resources:
            self.resent += self.held.get(resource.name) == resource.version
            self.held[resource.name] = resource.version
        for name in response.removed_resources:
            self.removed += self.held.pop(name, None) is not None


@asynccontextmanager
async def moving_clients(count: int, *servers: str) -> AsyncIterator[list[MovingClient]]:
    """Run clients that all prefer the first server."""
    clients = [MovingClient(f"client-{number}", servers) for number in range(count)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    try:
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
