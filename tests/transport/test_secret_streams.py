"""Secrets over streams: given, renewed, taken away and left, in both variants and beside other types."""

import asyncio
from typing import Any

import grpc
import pytest

from tests.helpers.authorities import FixedAuthority
from tests.helpers.running_secure import WEB, RunningSecure, running_secure
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, SECRET
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds
from xds_server.transport.ads import SECRET_SERVICE, SERVICE

ZTUNNEL = (("authorization", "Bearer istio-system/ztunnel"),)
NODE = Node(id="ztunnel~10.0.0.1~z.istio-system~istio-system.svc.cluster.local")
OTHER = "spiffe://cluster.local/ns/shop/sa/other"
DELTA = pytest.mark.parametrize(
    "method", [f"{SECRET_SERVICE}/DeltaSecrets", f"{SERVICE}/DeltaAggregatedResources"]
)
STATE = pytest.mark.parametrize(
    "method", [f"{SECRET_SERVICE}/StreamSecrets", f"{SERVICE}/StreamAggregatedResources"]
)


class Delta:
    """One delta stream; it holds what it was given."""

    def __init__(self, channel: grpc.aio.Channel, method: str) -> None:
        self.held: dict[str, bytes] = {}
        self.call: Any = channel.stream_stream(
            f"/{method}",
            request_serializer=xds.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=xds.DeltaDiscoveryResponse.FromString,
        )(metadata=ZTUNNEL)

    async def ask(self, *names: str, leave: tuple[str, ...] = (), type_url: str = SECRET) -> None:
        request = xds.DeltaDiscoveryRequest(
            node=NODE,
            type_url=type_url,
            resource_names_subscribe=names,
            resource_names_unsubscribe=leave,
        )
        await self.call.write(request)

    async def receive(self) -> Any:
        response = await self.call.read()
        assert isinstance(response, xds.DeltaDiscoveryResponse), response
        self.held |= {item.name: item.resource.value for item in response.resources}
        for name in response.removed_resources:
            self.held.pop(name, None)
        return response


def take_rights(server: RunningSecure) -> None:
    server.rights.granted.clear()
    server.secrets.receive_rights(None)


@DELTA
async def test_a_right_that_goes_takes_the_secret_and_brings_it_when_it_returns(method: str) -> None:
    async with running_secure() as server, server.channel() as channel:
        stream = Delta(channel, method)
        await stream.ask(WEB, OTHER)
        assert list((await stream.receive()).removed_resources) == [OTHER]
        assert list(stream.held) == [WEB]
        take_rights(server)
        assert list((await stream.receive()).removed_resources) == [WEB]
        server.rights.granted.update({WEB, OTHER})
        server.secrets.receive_rights(["shop/web"])
        await stream.receive()
        assert list(stream.held) == [WEB]
        server.secrets.receive_rights(["shop/other"])
        await stream.receive()
        assert sorted(stream.held) == [OTHER, WEB]
        stream.call.cancel()


@DELTA
async def test_a_rotation_brings_every_secret_anew(method: str) -> None:
    async with running_secure() as server, server.channel() as channel:
        stream = Delta(channel, method)
        await stream.ask("ROOTCA", WEB)
        await stream.receive()
        before = dict(stream.held)
        server.authority.signing = FixedAuthority().signing
        server.secrets.receive_authority()
        while any(stream.held[name] == before[name] for name in before):
            await stream.receive()
        roots = Secret.FromString(stream.held["ROOTCA"]).validation_context.trusted_ca.inline_bytes
        assert roots.decode() == server.authority.trust_bundle
        stream.call.cancel()


@DELTA
async def test_a_name_that_is_left_is_followed_no_more(method: str) -> None:
    async with running_secure() as server, server.channel() as channel:
        stream = Delta(channel, method)
        await stream.ask(WEB)
        await stream.receive()
        await stream.ask(leave=(WEB,))
        await stream.ask("ROOTCA")
        assert [item.name for item in (await stream.receive()).resources] == ["ROOTCA"]
        assert server.secrets._held == {}
        await stream.ask(WEB)
        assert [item.name for item in (await stream.receive()).resources] == [WEB]
        stream.call.cancel()


async def test_secrets_travel_beside_other_types_on_one_stream() -> None:
    async with running_secure() as server, server.channel() as channel:
        stream = Delta(channel, f"{SERVICE}/DeltaAggregatedResources")
        await stream.ask(type_url=ADDRESS)
        await stream.ask(type_url=AUTHORIZATION)
        await stream.ask(WEB)
        types = [(await stream.receive()).type_url for _ in range(3)]
        assert sorted(types) == sorted([ADDRESS, AUTHORIZATION, SECRET])
        stream.call.cancel()


async def test_streams_have_secrets_of_their_own() -> None:
    async with running_secure() as server, server.channel() as channel:
        one, two = (Delta(channel, f"{SECRET_SERVICE}/DeltaSecrets") for _ in range(2))
        await one.ask(WEB)
        await one.receive()
        await two.ask("default")
        await two.receive()
        assert (list(one.held), list(two.held)) == ([WEB], ["default"])
        assert SECRET not in [kind.url for kind in server.catalog.types()]
        one.call.cancel()
        two.call.cancel()


async def test_a_stream_that_ends_leaves_no_key_behind() -> None:
    async with running_secure() as server, server.channel() as channel:
        stream = Delta(channel, f"{SECRET_SERVICE}/DeltaSecrets")
        await stream.ask(WEB, "ROOTCA")
        await stream.receive()
        assert server.secrets._held
        stream.call.cancel()
        while server.secrets._held or server.secrets._followers:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("names", [[f"n{number}" for number in range(1_001)], ["x" * 3_000]])
async def test_a_stream_may_follow_only_so_much(names: list[str]) -> None:
    async with running_secure() as server, server.channel() as channel:
        stream = Delta(channel, f"{SECRET_SERVICE}/DeltaSecrets")
        await stream.ask(*names)
        assert await stream.call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@STATE
async def test_a_state_of_the_world_stream_holds_what_it_last_named(method: str) -> None:
    async with running_secure() as server, server.channel() as channel:
        call: Any = channel.stream_stream(
            f"/{method}",
            request_serializer=xds.DiscoveryRequest.SerializeToString,
            response_deserializer=xds.DiscoveryResponse.FromString,
        )(metadata=ZTUNNEL)

        async def ask(*names: str, nonce: str = "") -> None:
            await call.write(
                xds.DiscoveryRequest(node=NODE, type_url=SECRET, resource_names=names, response_nonce=nonce)
            )

        async def receive() -> tuple[list[str], str]:
            response = await call.read()
            assert isinstance(response, xds.DiscoveryResponse), response
            return sorted(Secret.FromString(item.value).name for item in response.resources), response.nonce

        await ask(WEB, "ROOTCA", OTHER)
        names, nonce = await receive()
        assert names == ["ROOTCA", WEB]
        await ask(WEB, "ROOTCA", OTHER, nonce=nonce)
        take_rights(server)
        names, nonce = await receive()
        assert names == ["ROOTCA"]
        await ask("default", nonce=nonce)
        while names != ["default"]:
            names, nonce = await receive()
        call.cancel()
