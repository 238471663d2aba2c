"""A gRPC server on a free port over a catalog that a test fills, and clients that speak to it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.resource import ADDRESS
from xds_server.mesh.address import Address, workload_address
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.sessions.clients import Clients
from xds_server.settings import StreamSettings
from xds_server.store.collection import Change
from xds_server.transport.ads import SERVICE, AggregatedDiscoveryService
from xds_server.transport.authentication import NoAuthentication
from xds_server.transport.server import GrpcServer


class RunningAds:
    """The server under test, with its catalog in the test's hands."""

    def __init__(self, settings: StreamSettings) -> None:
        self.catalog = Catalog()
        self.clients = Clients()
        self.ads = AggregatedDiscoveryService(self.catalog, self.clients, settings)
        self.settings = settings
        self.server = GrpcServer(self.ads.handlers(NoAuthentication()), settings)
        self.address = ""
        self._staged: dict[str, Address | None] = {}

    def put(self, *names: str, version: str = "", padding: int = 0) -> None:
        """Stage workloads for the next publication."""
        self.stage({name: workload(name, version, padding) for name in names})

    async def stop(self) -> None:
        seconds = self.settings.drain_seconds
        await asyncio.gather(self.server.stop(seconds + 1.0), self.ads.drain(seconds))

    def remove(self, *names: str) -> None:
        self.stage(dict.fromkeys(names))

    def stage(self, addresses: Mapping[str, Address | None]) -> None:
        self.catalog.stage_addresses(
            {name: Change(self._staged.get(name), address) for name, address in addresses.items()}
        )
        self._staged.update(addresses)
        self.ads.publisher.receive_changes()


def workload(name: str, version: str = "", padding: int = 0) -> Address:
    message = api.Workload(uid=name, canonical_revision=version, workload_name="x" * padding)
    return workload_address(message, ())


@asynccontextmanager
async def running_ads(*names: str, ready: bool = True, **settings: Any) -> AsyncIterator[RunningAds]:
    """Run a server that serves these workloads; settings are those of StreamSettings."""
    under_test = RunningAds(StreamSettings(**{"drain_seconds": 0.0, **settings}))
    under_test.put(*names)
    under_test.catalog.publish()
    under_test.address = await under_test.server.start("127.0.0.1:0")
    if ready:
        under_test.ads.ready.set()
        await under_test.server.set_serving(True)
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(under_test.ads.publisher.run()),
            tasks.create_task(under_test.ads.watch_writes()),
        ]
        try:
            yield under_test
        finally:
            await under_test.stop()
            for task in running:
                task.cancel()


class DeltaClient:
    """One delta stream on its own connection, which keeps what it is told as ztunnel does."""

    def __init__(self, address: str, *options: tuple[str, int]) -> None:
        self.held: dict[str, str] = {}
        own = ("grpc.use_local_subchannel_pool", 1)
        self.channel = grpc.aio.insecure_channel(address, options=[own, *options])
        self.call = self.channel.stream_stream(
            f"/{SERVICE}/DeltaAggregatedResources",
            request_serializer=xds.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=xds.DeltaDiscoveryResponse.FromString,
        )()

    async def __aenter__(self) -> "DeltaClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()
        await self.channel.close()

    async def subscribe(self, type_url: str = ADDRESS, **fields: Any) -> None:
        node = Node(id="ztunnel~10.0.0.1~ztunnel-x.istio-system~istio-system.svc.cluster.local")
        await self.call.write(xds.DeltaDiscoveryRequest(node=node, type_url=type_url, **fields))

    async def send(self, **fields: Any) -> None:
        await self.call.write(xds.DeltaDiscoveryRequest(**{"type_url": ADDRESS, **fields}))

    async def receive(self) -> xds.DeltaDiscoveryResponse:
        """Read one response and apply it."""
        response = await self.call.read()
        assert isinstance(response, xds.DeltaDiscoveryResponse), response
        self.held |= {resource.name: resource.version for resource in response.resources}
        for name in response.removed_resources:
            self.held.pop(name, None)
        return response

    async def acknowledge(self, response: xds.DeltaDiscoveryResponse) -> None:
        await self.send(type_url=response.type_url, response_nonce=response.nonce)
