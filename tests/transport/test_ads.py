"""The discovery service over real connections."""

import asyncio

import grpc
import pytest
from google.rpc.status_pb2 import Status

from tests.helpers.running_ads import DeltaClient, running_ads
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds
from xds_server.transport.ads import SERVICE
from xds_server.transport.stream import CLOSING


async def test_a_wildcard_client_gets_everything_then_what_changes() -> None:
    async with running_ads("a", "b") as server, DeltaClient(server.address) as client:
        await client.subscribe()
        assert {resource.name for resource in (await client.receive()).resources} == {"a", "b"}
        server.put("a", version="v2")
        server.remove("b")
        response = await client.receive()
        assert [resource.name for resource in response.resources] == ["a"]
        assert list(response.removed_resources) == ["b"]


async def test_both_first_requests_are_answered_even_with_nothing() -> None:
    async with running_ads() as server, DeltaClient(server.address) as client:
        await client.subscribe(ADDRESS)
        await client.subscribe(AUTHORIZATION)
        answered = {(await client.receive()).type_url, (await client.receive()).type_url}
        assert answered == {ADDRESS, AUTHORIZATION}


async def test_a_client_that_returns_is_told_no_address_before_it_has_asked_for_policies() -> None:
    async with running_ads("a") as server, DeltaClient(server.address) as client:
        await client.subscribe(ADDRESS, initial_resource_versions={"gone": "old"})
        while not server.clients.totals.requests[ADDRESS]:
            await asyncio.sleep(0.01)
        await client.subscribe(AUTHORIZATION)
        assert (await client.receive()).type_url == AUTHORIZATION
        assert list((await client.receive()).removed_resources) == ["gone"]


async def test_a_client_that_returns_and_asks_for_addresses_alone_is_answered_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("xds_server.transport.stream._PATIENCE_SECONDS", 0.05)
    async with running_ads("a") as server, DeltaClient(server.address) as client:
        await client.subscribe(ADDRESS, initial_resource_versions={"gone": "old"})
        assert list((await client.receive()).removed_resources) == ["gone"]
        server.put("b")
        assert [resource.name for resource in (await client.receive()).resources] == ["b"]


async def test_headers_come_before_any_message() -> None:
    async with running_ads(ready=False) as server, DeltaClient(server.address) as client:
        await client.subscribe()
        await asyncio.wait_for(client.call.initial_metadata(), 5)


async def test_nothing_is_sent_before_the_first_whole_mesh() -> None:
    async with running_ads(ready=False) as server, DeltaClient(server.address) as client:
        await client.subscribe()
        await client.call.initial_metadata()
        reading = asyncio.ensure_future(client.receive())
        server.put("a")
        while server.catalog.position == 0:
            await asyncio.sleep(0.01)
        assert not reading.done()
        server.ads.ready.set()
        assert [resource.name for resource in (await reading).resources] == ["a"]


async def test_a_change_is_encoded_once_for_all_streams() -> None:
    async with running_ads("a") as server, asyncio.TaskGroup() as tasks:
        clients = [DeltaClient(server.address) for _ in range(20)]
        for client in clients:
            await client.subscribe()
            await client.receive()
        before = server.catalog.of(ADDRESS).encodings
        server.put("a", version="v2")
        for receiving in [tasks.create_task(client.receive()) for client in clients]:
            await receiving
        assert server.catalog.of(ADDRESS).encodings - before == 1
        for client in clients:
            await client.__aexit__()


async def test_a_rejection_is_recorded_and_provokes_nothing() -> None:
    async with running_ads("a") as server, DeltaClient(server.address) as client:
        await client.subscribe()
        response = await client.receive()
        await client.send(response_nonce=response.nonce, error_detail=Status(message="a: bad address"))
        while not server.clients.totals.acknowledgements[ADDRESS, "rejected"]:
            await asyncio.sleep(0.01)
        (connected,) = server.clients
        assert connected.session.subscriptions[ADDRESS].acknowledgements.rejection == "a: bad address"
        server.put("b")
        assert [resource.name for resource in (await client.receive()).resources] == ["b"]


@pytest.mark.parametrize(
    ("data", "details"),
    [
        (b"\xff\xff\xff", "the request is no envoy.service.discovery.v3.DeltaDiscoveryRequest"),
        (xds.DeltaDiscoveryRequest(type_url=ADDRESS).SerializeToString(), "the first request has no node.id"),
    ],
)
async def test_a_client_that_breaks_the_protocol_is_told_how(data: bytes, details: str) -> None:
    async with running_ads() as server, grpc.aio.insecure_channel(server.address) as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(
            f"/{SERVICE}/DeltaAggregatedResources"
        )()
        await call.write(data)
        assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert await call.details() == details
        assert server.clients.totals.ended["broke the protocol"] == 1


async def test_a_client_that_closes_its_side_is_answered_and_let_go() -> None:
    async with running_ads("a") as server, DeltaClient(server.address) as client:
        await client.subscribe()
        await client.call.done_writing()
        assert len((await client.receive()).resources) == 1
        assert await client.call.code() == grpc.StatusCode.OK


@pytest.mark.parametrize("size", [4 << 20, 64 << 20])
async def test_a_request_within_the_limit_is_taken(size: int) -> None:
    async with running_ads("a") as server:
        limit = ("grpc.max_send_message_length", -1)
        async with DeltaClient(server.address, limit) as client:
            await client.subscribe(response_nonce="n" * (size - 200))
            assert len((await client.receive()).resources) == 1


async def test_a_request_over_the_limit_ends_its_stream_alone() -> None:
    async with running_ads("a") as server:
        limit = ("grpc.max_send_message_length", -1)
        async with DeltaClient(server.address, limit) as greedy, DeltaClient(server.address) as other:
            await greedy.subscribe(response_nonce="n" * (65 << 20))
            assert await greedy.call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            await other.subscribe()
            assert len((await other.receive()).resources) == 1


async def test_more_streams_than_allowed_are_refused_and_counted() -> None:
    async with running_ads("a", max_streams=1) as server, DeltaClient(server.address) as first:
        await first.subscribe()
        await first.receive()
        async with DeltaClient(server.address) as second:
            assert await second.call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert server.clients.totals.ended["refused"] == 1


async def test_pings_on_an_idle_stream_never_end_it() -> None:
    # 30 minutes of ztunnel's pings, 60 of them, at the pace of a test.
    options = [
        ("grpc.keepalive_time_ms", 50),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_time_between_pings_ms", 50),
    ]
    async with running_ads("a") as server, DeltaClient(server.address, *options) as client:
        await client.subscribe()
        await client.receive()
        await asyncio.sleep(60 * 0.05)
        server.put("b")
        assert [resource.name for resource in (await client.receive()).resources] == ["b"]
        assert server.clients.totals.streams["delta"] == 1


async def test_an_old_stream_is_ended_in_the_way_that_brings_its_client_back_at_once() -> None:
    async with (
        running_ads("a", max_connection_age_seconds=0.3) as server,
        DeltaClient(server.address) as client,
    ):
        await client.subscribe()
        await client.receive()
        assert await client.call.code() == grpc.StatusCode.UNAVAILABLE
        assert await client.call.details() == CLOSING


async def test_stopping_ends_streams_gracefully_and_takes_no_new_one() -> None:
    async with running_ads("a", drain_seconds=0.4) as server, DeltaClient(server.address) as client:
        await client.subscribe()
        await client.receive()
        stopping = asyncio.ensure_future(server.stop())
        assert await client.call.code() == grpc.StatusCode.UNAVAILABLE
        assert await client.call.details() == CLOSING
        await stopping
        async with DeltaClient(server.address) as late:
            assert await late.call.code() == grpc.StatusCode.UNAVAILABLE
        assert len(server.clients) == 0


async def test_a_client_that_vanishes_leaves_nothing_behind() -> None:
    async with running_ads("a") as server:
        for _ in range(5):
            async with DeltaClient(server.address) as client:
                await client.subscribe()
                await client.receive()
        while len(server.clients):
            await asyncio.sleep(0.01)
        # Whether gRPC tells of the closed side or of the cancellation first is chance.
        assert server.clients.totals.ended.total() == 5
        assert [task for task in asyncio.all_tasks() if "._write " in str(task.get_coro())] == []


SETTINGS, SETTINGS_ACK = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)), bytes((0, 0, 0, 4, 1, 0, 0, 0, 0))
SMALL_WINDOW = (("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0))


async def test_a_client_that_does_not_read_is_let_go_and_hurts_nobody() -> None:
    async with running_ads(write_timeout_seconds=0.5) as server:
        server.put(*(f"w{number}" for number in range(400)), padding=10_000)
        async with DeltaClient(server.address, *SMALL_WINDOW) as slow, DeltaClient(server.address) as other:
            await slow.subscribe()
            await other.subscribe()
            while not server.clients.totals.ended["too slow"]:
                server.put("w0", version=str(server.catalog.position), padding=10)
                await other.receive()
            assert len(server.clients) == 1
            await slow.receive()
            assert await slow.call.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_connection_that_answers_no_ping_is_closed() -> None:
    async with running_ads("a", keepalive_seconds=1.0, keepalive_timeout_seconds=1.0) as server:
        host, port = server.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        # A connection that is open, then silence: a host that lost its power looks like this.
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS + SETTINGS_ACK)
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()


async def test_state_of_the_world_clients_get_the_whole_state_at_every_change() -> None:
    async with running_ads("a", "b") as server, grpc.aio.insecure_channel(server.address) as channel:
        call = channel.stream_stream(
            f"/{SERVICE}/StreamAggregatedResources",
            request_serializer=xds.DiscoveryRequest.SerializeToString,
            response_deserializer=xds.DiscoveryResponse.FromString,
        )()
        await call.write(xds.DiscoveryRequest(node=Node(id="n"), type_url=ADDRESS))
        first = await call.read()
        server.put("c")
        second = await call.read()
        assert isinstance(first, xds.DiscoveryResponse)
        assert isinstance(second, xds.DiscoveryResponse)
        assert [len(first.resources), len(second.resources)] == [2, 3]
        assert first.version_info != second.version_info
        call.cancel()
