"""The client of a control plane's delta stream: what it asks, what it takes, what it answers."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.agent.control_plane import AgentStream, ControlPlane, control_plane
from tests.agent.saying import cpu, dpu, ranges, told
from tests.helpers.cluster_authority import write_certificates
from tests.helpers.programs import free_ports
from xds_server.agent.feed import Feed
from xds_server.agent.settings import Discovery
from xds_server.catalog.resource import NODE_PROGRAM, POD_RANGES
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

FIRST, SECOND = cpu(), cpu(pods=[])
NAMES = {NODE_PROGRAM: ["cpu"], POD_RANGES: ["ranges"]}


class Following:
    """A feed that runs, and how often it woke its agent."""

    def __init__(self, discovery: Discovery) -> None:
        self.woken: asyncio.Queue[None] = asyncio.Queue()
        self.feed = Feed("cpu", discovery, lambda: self.woken.put_nowait(None))

    async def wakes(self, times: int = 1) -> None:
        for _ in range(times):
            await self.woken.get()


@asynccontextmanager
async def following(discovery: Discovery) -> AsyncIterator[Following]:
    made = Following(discovery)
    running = asyncio.create_task(made.feed.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled(), running.exception()


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with control_plane() as made:
        yield made


@pytest.fixture
async def agent(plane: ControlPlane) -> AsyncIterator[Following]:
    async with following(plane.discovery) as made:
        yield made


@pytest.fixture
async def stream(plane: ControlPlane, agent: Following) -> AgentStream:
    return await (await plane.stream()).begun()


@asynccontextmanager
async def secure_plane(folder: Path) -> AsyncIterator[ControlPlane]:
    """Run one whose certificate is for 127.0.0.1 and ``localhost``, of the authority in ``ca.pem``."""
    await asyncio.to_thread(write_certificates, folder)
    pair = ((folder / "tls.key").read_bytes(), (folder / "tls.pem").read_bytes())
    async with control_plane(credentials=grpc.ssl_server_credentials([pair])) as plane:
        yield plane


def trusting(folder: Path, plane: ControlPlane) -> Discovery:
    return Discovery(address=plane.address, root_cert=folder / "root-cert", token=folder / "token")


async def say_both(stream: AgentStream, agent: Following) -> None:
    await stream.say(FIRST, "p1")
    await stream.say(ranges(), "r1")
    await agent.wakes(2)


def verdict(request: DeltaDiscoveryRequest) -> tuple[str, str, str]:
    return request.type_url, request.response_nonce, request.error_detail.message


async def test_a_stream_begins_with_the_nodes_program_and_the_ranges_of_all(
    plane: ControlPlane, agent: Following
) -> None:
    stream = await plane.stream()
    asked = [await stream.asked(), await stream.asked()]
    assert {one.type_url: list(one.resource_names_subscribe) for one in asked} == NAMES
    assert {one.node.id for one in asked} == {"cpu"}
    assert not any(one.initial_resource_versions for one in asked)


async def test_there_is_nothing_to_take_before_both_are_said(stream: AgentStream, agent: Following) -> None:
    assert agent.feed.take().told is None
    await stream.say(FIRST, "p1")
    await agent.wakes()
    assert agent.feed.take().told is None
    await stream.say(ranges(), "r1")
    await agent.wakes()
    assert agent.feed.take().told == told(FIRST)


async def test_what_is_said_later_takes_the_place_of_what_was_said(
    stream: AgentStream, agent: Following
) -> None:
    await say_both(stream, agent)
    await stream.say(SECOND, "p2")
    await agent.wakes()
    assert agent.feed.take().told == told(SECOND)
    await stream.say(ranges(stated=()), "r2")
    await agent.wakes()
    assert agent.feed.take().told == told(SECOND, ranges(stated=()))


async def test_a_response_is_answered_when_the_agent_says_so_and_not_before(
    stream: AgentStream, agent: Following
) -> None:
    await say_both(stream, agent)
    await stream.say(SECOND, "p2")
    await agent.wakes()
    agent.feed.answer(agent.feed.take())
    answers = [verdict(await stream.asked()), verdict(await stream.asked())]
    # The first response was overtaken: an answer to the second says all.
    assert sorted(answers) == [(NODE_PROGRAM, "p2", ""), (POD_RANGES, "r1", "")]


async def test_a_verdict_on_what_was_overtaken_meanwhile_is_not_told(
    stream: AgentStream, agent: Following
) -> None:
    await say_both(stream, agent)
    taken = agent.feed.take()
    await stream.say(SECOND, "p2")
    await agent.wakes()
    agent.feed.answer(taken)
    assert verdict(await stream.asked()) == (POD_RANGES, "r1", "")
    agent.feed.answer(agent.feed.take(), "step 3: refused")
    assert verdict(await stream.asked()) == (NODE_PROGRAM, "p2", "step 3: refused")


async def test_what_cannot_be_held_is_rejected_with_the_reason(stream: AgentStream, agent: Following) -> None:
    await say_both(stream, agent)
    agent.feed.answer(agent.feed.take(), "step 3: refused")
    for _ in range(2):
        request = await stream.asked()
        assert request.error_detail.code == 13
        assert request.error_detail.message == "step 3: refused"


async def test_a_nonce_is_answered_once(stream: AgentStream, agent: Following) -> None:
    await say_both(stream, agent)
    for _ in range(3):
        agent.feed.answer(agent.feed.take())
    await stream.say(SECOND, "p2")
    await agent.wakes()
    agent.feed.answer(agent.feed.take())
    answers = [verdict(await stream.asked()) for _ in range(3)]
    assert answers == [(NODE_PROGRAM, "p1", ""), (POD_RANGES, "r1", ""), (NODE_PROGRAM, "p2", "")]


@pytest.mark.parametrize(("first", "then"), [("", "a rule is in the way"), ("no such link", "")])
async def test_a_verdict_that_changes_later_has_both_asked_for_anew_and_answered(
    stream: AgentStream, agent: Following, first: str, then: str
) -> None:
    await say_both(stream, agent)
    agent.feed.answer(agent.feed.take(), first)
    assert [verdict(await stream.asked())[2] for _ in range(2)] == [first, first]
    for _ in range(3):
        agent.feed.answer(agent.feed.take(), then)
    again = [await stream.asked(), await stream.asked()]
    assert {one.type_url: list(one.resource_names_subscribe) for one in again} == NAMES
    assert {verdict(one)[1:] for one in again} == {("", "")}
    await stream.say(FIRST, "p2")
    await stream.say(ranges(), "r2")
    await agent.wakes(2)
    agent.feed.answer(agent.feed.take(), then)
    answers = sorted([verdict(await stream.asked()), verdict(await stream.asked())])
    assert answers == [(NODE_PROGRAM, "p2", then), (POD_RANGES, "r2", then)]


async def test_a_stream_that_ends_is_opened_again_and_what_was_said_is_still_there(
    plane: ControlPlane, stream: AgentStream, agent: Following, caplog: pytest.LogCaptureFixture
) -> None:
    await say_both(stream, agent)
    agent.feed.answer(agent.feed.take())
    stream.end()
    second = await plane.stream()
    first_asked = await second.asked()
    assert (first_asked.type_url, first_asked.node.id) == (NODE_PROGRAM, "cpu")
    await second.asked()
    assert agent.feed.take().told == told(FIRST)
    # What is said there is answered there, whatever was answered before.
    assert agent.feed.take().nonces == {}
    await second.say(FIRST, "p1")
    await agent.wakes()
    agent.feed.answer(agent.feed.take())
    assert verdict(await second.asked()) == (NODE_PROGRAM, "p1", "")
    # Which of the two ends gRPC tells of depends on who is first.
    assert "asked again in" in caplog.text


async def test_a_verdict_of_before_is_not_told_on_a_new_stream(
    plane: ControlPlane, stream: AgentStream, agent: Following
) -> None:
    await say_both(stream, agent)
    old = agent.feed.take()
    stream.end()
    second = await (await plane.stream()).begun()
    agent.feed.answer(old)
    await second.say(FIRST, "p9")
    await agent.wakes()
    agent.feed.answer(agent.feed.take())
    assert verdict(await second.asked()) == (NODE_PROGRAM, "p9", "")


async def test_a_resource_that_cannot_be_read_is_rejected_and_what_was_said_before_stays(
    stream: AgentStream, agent: Following
) -> None:
    await say_both(stream, agent)
    await stream.send(NODE_PROGRAM, "p2", {"cpu": b"\xff\xff\xff"})
    assert verdict(await stream.asked()) == (NODE_PROGRAM, "p2", "cpu cannot be decoded")
    assert agent.feed.take().told == told(FIRST)
    assert agent.woken.empty()
    await stream.say(SECOND, "p3")
    await agent.wakes()
    assert agent.feed.take().told == told(SECOND)


async def test_a_resource_that_is_gone_leaves_what_was_said(
    stream: AgentStream, agent: Following, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to hold, so it is acknowledged at once."""
    await say_both(stream, agent)
    await stream.send(NODE_PROGRAM, "p2", removed=("cpu",))
    assert verdict(await stream.asked()) == (NODE_PROGRAM, "p2", "")
    assert agent.woken.empty()
    assert agent.feed.take().told == told(FIRST)
    assert f"it knows no {NODE_PROGRAM} of cpu; what is held stays" in caplog.text
    await stream.say(SECOND, "p3")
    await agent.wakes()
    assert agent.feed.take().told == told(SECOND)


async def test_a_node_that_is_not_known_yet_is_told_when_it_is(stream: AgentStream, agent: Following) -> None:
    await stream.send(NODE_PROGRAM, "p1", removed=("cpu",))
    assert verdict(await stream.asked()) == (NODE_PROGRAM, "p1", "")
    await say_both(stream, agent)
    assert agent.feed.take().told == told(FIRST)


async def test_what_is_said_of_others_is_not_taken(stream: AgentStream, agent: Following) -> None:
    await say_both(stream, agent)
    await stream.say(dpu(), "p2")
    await stream.send("type.googleapis.com/istio.workload.Address", "a1", {"cpu": b""})
    await stream.say(ranges(), "r2")
    await agent.wakes(2)
    assert agent.feed.take().told == told(FIRST)


async def test_a_server_that_speaks_something_else_is_left_and_asked_again(
    plane: ControlPlane, stream: AgentStream, agent: Following
) -> None:
    await say_both(stream, agent)
    await stream.send_bytes(b"\xff\xff\xff")
    await (await plane.stream()).begun()
    assert agent.feed.take().told == told(FIRST)


async def test_a_control_plane_that_is_away_is_asked_until_it_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    caplog.set_level(logging.INFO)
    async with following(Discovery(address=address, insecure=True)) as agent:
        while "UNAVAILABLE" not in caplog.text:
            await asyncio.sleep(0.01)
        assert not agent.feed.connected
        async with control_plane(address) as plane:
            stream = await (await plane.stream()).begun()
            await say_both(stream, agent)
            assert agent.feed.connected
    assert f"control plane {address}: UNAVAILABLE" in caplog.text
    assert f"control plane {address}: connected" in caplog.text


@pytest.mark.parametrize(
    ("root_cert", "token", "expected"),
    [
        (None, "a token", "--root-cert {folder}/root-cert: No such file or directory"),
        ("no certificate", "a token", "UNAVAILABLE"),
        ("", None, "No such file or directory: '{folder}/token'"),
        ("", "", "--token {folder}/token: expected a token on one line"),
        ("", "two\nlines", "--token {folder}/token: expected a token on one line"),
        ("", "é", "--token {folder}/token: 'ascii' codec can't decode"),
    ],
)
async def test_what_it_takes_to_be_believed_is_named_while_it_is_missing(
    tmp_path: Path,
    root_cert: str | None,
    token: str | None,
    expected: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And is read anew each time: both are renewed while the agent runs."""
    async with secure_plane(tmp_path) as plane:
        discovery, roots = trusting(tmp_path, plane), (tmp_path / "ca.pem").read_text()
        if root_cert is not None:
            discovery.root_cert.write_text(root_cert or roots)
        if token is not None:
            discovery.token.write_text(token)
        async with following(discovery):
            while expected.format(folder=tmp_path) not in caplog.text:
                await asyncio.sleep(0.01)
            discovery.root_cert.write_text(roots)
            discovery.token.write_text("token\n")
            stream = await (await plane.stream()).begun()
            assert stream.metadata["authorization"] == "Bearer token"


async def test_the_servers_certificate_must_be_for_the_name_that_is_expected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with secure_plane(tmp_path) as plane:
        discovery = trusting(tmp_path, plane)
        discovery.root_cert.write_text((tmp_path / "ca.pem").read_text())
        discovery.token.write_text("token")
        async with following(replace(discovery, server_name="localhost")):
            await (await plane.stream()).begun()
        async with following(replace(discovery, server_name="other.example")):
            while "UNAVAILABLE" not in caplog.text:
                await asyncio.sleep(0.01)


async def test_where_nobody_asks_who_it_is_no_token_is_sent(stream: AgentStream) -> None:
    assert "authorization" not in stream.metadata
