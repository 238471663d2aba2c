"""An agent's life on a real node, led by a control plane whose every word is a test's."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agent.control_plane import AgentStream, ControlPlane, control_plane
from tests.agent.saying import CPU, cidr, cpu, dpu, packed, peer, pod_range, pods, ranges, told, ztunnel
from tests.helpers.programs import free_ports
from tests.helpers.scratch_node import ScratchNode, needs_root
from xds_server.agent import kept
from xds_server.agent.agent import Agent
from xds_server.agent.keeper import Held
from xds_server.agent.settings import AgentSettings, Discovery, NodeSettings, OnExit, Timing
from xds_server.agent.told import Told
from xds_server.exceptions import KernelError
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

pytestmark = needs_root

CLASH = "rule add priority 101 from 10.9.9.9 lookup 500"
TIMING = Timing(glance=0.02, first_retry=0.05, longest_retry=0.2, peer=60)
NO_RETRY = replace(TIMING, first_retry=3600, longest_retry=3600, first_resync=3600, longest_resync=3600)
UNREACHABLE = pod_range("10.9.0.0/24", ("10.99.99.99",))
"""A route to it is a step that fails, when others are done already."""


class Life:
    """One agent; ``held`` counts how often it has held something, or tried to."""

    def __init__(self, settings: AgentSettings) -> None:
        self.agent = Agent(settings)
        self.held = 0
        self._stopping = asyncio.Event()
        self._running = asyncio.create_task(self.agent.run(self._stopping))
        self._hold = self.agent._keeper.hold
        self.agent._keeper.hold = self._count  # type: ignore[method-assign, assignment]

    async def end(self) -> None:
        """
        End it as an operator does.

        Raises:
            KernelError: it ended with that.

        """
        self._stopping.set()
        await self._running

    @property
    def watches(self) -> bool:
        return self.agent._watch._monitor is not None

    @property
    def lease(self) -> str:
        """Whose Lease is to be renewed now."""
        return self.agent._dpu_node()

    async def _count(self, said: Told, *, thorough: bool) -> Held:
        try:
            return await self._hold(said, thorough=thorough)
        finally:
            self.held += 1


@pytest.fixture
async def plane() -> AsyncIterator[ControlPlane]:
    async with control_plane() as made:
        yield made


@pytest.fixture
def settings(node: ScratchNode, plane: ControlPlane, tmp_path: Path) -> AgentSettings:
    return AgentSettings(
        node="dpu",
        discovery=plane.discovery,
        state_dir=tmp_path / "state",
        kernel=NodeSettings(netns=node.name),
        timing=TIMING,
    )


@asynccontextmanager
async def living(settings: AgentSettings, *, watches: bool = True) -> AsyncIterator[Life]:
    """Run an agent that, unless it cannot, has begun to watch its kernel."""
    made = Life(settings)
    try:
        await until(lambda: made.watches or not watches)
        yield made
    finally:
        await made.end()


async def until(is_so: Callable[[], object]) -> None:
    while not is_so():
        await asyncio.sleep(0.01)


async def answers(stream: AgentStream, count: int = 2) -> dict[str, str]:
    """Return the next answers: what was the matter, by nonce."""
    found: dict[str, str] = {}
    while len(found) < count:
        request = await stream.asked()
        if request.response_nonce:
            found[request.response_nonce] = request.error_detail.message
    return found


async def say(
    stream: AgentStream, program: api.NodeProgram, number: int = 1, said: api.PodRanges | None = None
) -> None:
    await stream.say(said or ranges(), f"r{number}")
    await stream.say(program, f"p{number}")


async def until_held(stream: AgentStream, program: api.NodeProgram, number: int = 1) -> None:
    await say(stream, program, number)
    found: dict[str, str] = {}
    while not {f"p{number}", f"r{number}"} <= found.keys():
        found |= await answers(stream, 1)
    assert set(found.values()) == {""}


def members(node: ScratchNode) -> set[str]:
    return {line.split()[2] for line in node.run("ipset", "save").splitlines() if "add ztunnel-" in line}


async def test_nothing_is_written_before_all_is_said(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = node.everything("nft")
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await stream.say(dpu(), "p1")
        node.ip("rule add priority 60 lookup main")
        await until(lambda: "to be looked at: rule" in caplog.text)
        node.ip("rule delete priority 60")
        assert node.everything("nft") == before
        await stream.say(ranges(), "r1")
        assert await answers(stream) == {"p1": "", "r1": ""}
        assert members(node) == {"10.244.0.2", "10.244.0.7"}
        assert life.lease == "dpu"


async def test_what_is_said_later_is_held_before_it_is_acknowledged(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    async with living(settings):
        stream = await (await plane.stream()).begun()
        for number, addresses in enumerate((["10.244.0.2"], [], ["10.244.0.2", "10.244.0.9"])):
            await until_held(stream, dpu(pods=pods(*addresses)), number)
            assert members(node) == set(addresses)


@pytest.mark.parametrize("command", ["ip rule delete priority 101", "ipset del ztunnel-pods-ips 10.244.0.7"])
async def test_what_drifts_is_mended_and_told(
    command: str,
    node: ScratchNode,
    plane: ControlPlane,
    settings: AgentSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with living(settings):
        await until_held(await (await plane.stream()).begun(), dpu())
        before = node.everything("nft")
        node.run(*command.split())
        await until(lambda: "repaired: + " in caplog.text)
        assert node.everything("nft") == before


async def test_while_the_control_plane_is_away_what_was_held_last_is_held_and_mended(
    node: ScratchNode, settings: AgentSettings
) -> None:
    settings.state_dir.mkdir()
    kept.save(settings.state_dir, told(dpu()))
    address = f"127.0.0.1:{free_ports(1)[0]}"
    away = replace(settings, discovery=Discovery(address=address, insecure=True))
    async with living(away) as life:
        await until(lambda: life.lease)
        assert members(node) == {"10.244.0.2", "10.244.0.7"}
        node.ip("rule delete priority 101")
        await until(lambda: "101:" in node.ip("rule show"))
        async with control_plane(address) as plane:
            stream = await (await plane.stream()).begun()
            await until_held(stream, dpu(pods=pods("10.244.0.9")))
            assert members(node) == {"10.244.0.9"}
    assert kept.load(settings.state_dir, "dpu")[0] == told(dpu(pods=pods("10.244.0.9")))


async def test_a_program_is_not_acknowledged_for_what_was_kept(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    """Others send packets to a node that says it holds what takes them."""
    settings.state_dir.mkdir()
    kept.save(settings.state_dir, told(dpu()))
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await until(lambda: life.lease)
        held = life.held
        await stream.say(dpu(pods=pods("10.244.0.9")), "p1")
        await until(lambda: life.held > held)
        await stream.say(ranges(UNREACHABLE), "r1")
        for problem in (await answers(stream)).values():
            assert "all is put back as it was" in problem
        assert members(node) == {"10.244.0.2", "10.244.0.7"}


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda folder: (folder / "node-program.pb").write_bytes(b"\xff"), "cannot be read"),
        (lambda folder: kept.save(folder, told(cpu())), "is for node 'cpu', not 'dpu'"),
    ],
)
async def test_what_was_kept_and_is_of_no_use_is_told_and_nothing_is_written(
    spoil: Callable[[Path], object],
    expected: str,
    node: ScratchNode,
    settings: AgentSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.state_dir.mkdir()
    kept.save(settings.state_dir, told(dpu()))
    spoil(settings.state_dir)
    before = node.everything("nft")
    async with living(settings) as life:
        assert expected in caplog.text
    assert node.everything("nft") == before
    assert not life.held


@pytest.mark.parametrize("on_exit", list(OnExit))
async def test_what_becomes_of_the_datapath_in_the_end_is_as_was_asked_for(
    on_exit: OnExit, node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    others = node.others("nft")
    async with living(replace(settings, on_exit=on_exit)):
        await until_held(await (await plane.stream()).begun(), dpu())
        held = node.everything("nft")
    if on_exit is OnExit.KEEP:
        assert node.everything("nft") == held
        assert kept.load(settings.state_dir, "dpu") == (told(dpu()), "")
    else:
        assert "ztunnel-" not in node.everything("nft")
        assert kept.load(settings.state_dir, "dpu") == (None, "")
    assert node.others("nft") == others


async def test_an_agent_that_never_was_told_anything_removes_what_one_before_it_left(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    async with living(settings):
        await until_held(await (await plane.stream()).begun(), dpu())
    kept.forget(settings.state_dir)
    async with living(replace(settings, on_exit=OnExit.REMOVE)):
        await (await plane.stream()).begun()
    assert "ztunnel-" not in node.everything("nft")


async def test_a_removal_that_fails_is_what_the_agent_ends_with(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, tmp_path: Path
) -> None:
    (tmp_path / "netns").symlink_to(f"/run/netns/{node.name}")
    kernel = NodeSettings(netns=str(tmp_path / "netns"))
    life = Life(replace(settings, on_exit=OnExit.REMOVE, kernel=kernel))
    await until_held(await (await plane.stream()).begun(), dpu())
    (tmp_path / "netns").unlink()
    with pytest.raises(KernelError, match=r"network namespace .*No such file"):
        await life.end()
    assert kept.load(settings.state_dir, "dpu")[0] is not None


async def test_what_cannot_be_held_is_told_with_the_reason_and_held_when_it_can(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    node.ip(CLASH)
    before = node.everything("nft")
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await say(stream, dpu())
        for problem in (await answers(stream)).values():
            assert problem.startswith("others are in the way: rule")
        assert life.lease == ""
        await until(lambda: life.held >= 3)
        assert node.everything("nft") == before
        assert caplog.text.count("not held: others are in the way") == 1
        node.ip(CLASH.replace("add", "delete"))
        # It is told at once, though nobody asked: what was answered is asked for anew.
        assert {(await stream.asked()).response_nonce, (await stream.asked()).response_nonce} == {""}
        await until_held(stream, dpu(), 2)
        assert life.lease == "dpu"


async def test_a_program_that_comes_to_be_in_the_way_of_others_is_told_too(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await say(stream, dpu())
        assert await answers(stream) == {"p1": "", "r1": ""}
        node.ip("route add 10.99.1.0/24 dev ens32 table 102")
        for _ in range(2):
            assert (await stream.asked()).response_nonce == ""
        assert life.lease == ""
        await say(stream, dpu(), 2)
        for problem in (await answers(stream)).values():
            assert "table 102" in problem


async def test_what_is_tried_in_vain_is_tried_again_though_nobody_has_news(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, tmp_path: Path
) -> None:
    kernel = NodeSettings(netns=str(tmp_path / "netns"))
    async with living(replace(settings, kernel=kernel), watches=False):
        stream = await (await plane.stream()).begun()
        await say(stream, dpu())
        for problem in (await answers(stream)).values():
            assert "netns: No such file" in problem
        (tmp_path / "netns").symlink_to(f"/run/netns/{node.name}")
        for _ in range(2):
            assert (await stream.asked()).response_nonce == ""
        assert members(node) == {"10.244.0.2", "10.244.0.7"}


async def test_what_an_attempt_wrote_and_put_back_is_no_reason_for_the_next(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a step that fails would be tried without a pause, and its links come and go all the time."""
    caplog.set_level(logging.DEBUG)
    async with living(replace(settings, timing=NO_RETRY)) as life:
        stream = await (await plane.stream()).begun()
        await say(stream, dpu(), 1, ranges(UNREACHABLE))
        for problem in (await answers(stream)).values():
            assert "Network is unreachable" in problem
        for number in range(3):
            tried = life.held
            caplog.clear()
            node.ip(f"rule add priority {60 + number} lookup main")
            await until(lambda last=tried: life.held > last)  # type: ignore[misc]
            reasons = [each.args for each in caplog.records if "to be looked at" in each.msg]
            assert reasons[0] == ("rule",)


async def test_what_makes_no_program_is_rejected_and_what_was_held_goes_on(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await until_held(stream, dpu())
        await stream.say(dpu(addresses=[]), "p2")
        found = await answers(stream, 1)
        assert found == {"p2": "node dpu has no InternalIP of IPv4"}
        assert life.lease == "dpu"
        node.ip("rule delete priority 101")
        await until(lambda: "repaired: + rule priority 101" in caplog.text)
        assert members(node) == {"10.244.0.2", "10.244.0.7"}
        assert kept.load(settings.state_dir, "dpu")[0] == told(dpu())
        await stream.say(dpu(pods=pods("10.244.0.9")), "p3")
        assert await answers(stream, 1) == {"p3": ""}
        assert members(node) == {"10.244.0.9"}


async def test_what_makes_no_program_and_nothing_was_held_before_is_no_soundness(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    before = node.everything("nft")
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await say(stream, dpu(addresses=[]))
        assert set((await answers(stream)).values()) == {"node dpu has no InternalIP of IPv4"}
        assert life.lease == ""
    assert node.everything("nft") == before


async def test_a_node_that_is_gone_from_the_cluster_keeps_what_it_holds(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    async with living(settings):
        stream = await (await plane.stream()).begun()
        await until_held(stream, dpu())
        held = node.everything("nft")
        await stream.send("type.googleapis.com/offmesh.datapath.v1.NodeProgram", "p2", removed=("dpu",))
        assert (await answers(stream, 1)) == {"p2": ""}
        assert node.everything("nft") == held


async def test_an_agent_ends_though_it_is_woken_at_that_moment(settings: AgentSettings) -> None:
    agent = Agent(settings)
    agent._pauses.wait(3600)
    keeping = asyncio.create_task(agent._keep())
    for _ in range(3):
        await asyncio.sleep(0)
    agent._receive()
    keeping.cancel()
    await asyncio.wait([keeping])
    assert keeping.cancelled()


async def test_a_second_agent_of_the_node_is_refused(plane: ControlPlane, settings: AgentSettings) -> None:
    async with living(settings):
        await (await plane.stream()).begun()
        with pytest.raises(KernelError, match="another agent of this node is running"):
            await Agent(settings).run(asyncio.Event())


def on_this_node(**changed: object) -> api.NodeProgram:
    """Make this the CPU node of the pair."""
    said = {"node": "dpu", "addresses": packed("192.168.50.131"), "pod_cidrs": [cidr("10.244.1.0/24")]}
    peers = [peer("cpu")]
    made = cpu(**({**said, "peers": peers, "pods": pods("10.244.1.9")} | changed))
    assert made.role == CPU
    return made


async def test_a_cpu_nodes_agent_renews_no_lease(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    ready = peer("cpu")
    ready.holds = True
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await until_held(stream, on_this_node(peers=[ready]))
        assert life.agent.is_sound
        assert life.lease == ""
        assert members(node) == {"10.244.1.9"}


async def test_packets_are_not_sent_to_a_peer_before_it_takes_them(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ready = peer("cpu")
    ready.holds = True
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await say(stream, on_this_node())
        await until(lambda: "node cpu, its peer, is not known to be ready" in caplog.text and life.held)
        await until(lambda: "10.244.0.0/24" in node.ip("route show proto 76"))
        assert members(node) == set()
        await say(stream, on_this_node(peers=[ready]), 2)
        assert await answers(stream) == {"p2": "", "r2": ""}
        assert members(node) == {"10.244.1.9"}


async def test_a_peer_that_never_speaks_is_not_waited_for_for_ever(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with living(replace(settings, timing=replace(TIMING, peer=0.2))):
        await until_held(await (await plane.stream()).begun(), on_this_node())
        assert members(node) == {"10.244.1.9"}
    assert "has not told that it is ready: going on" in caplog.text


async def test_what_cannot_be_kept_is_held_all_the_same(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.state_dir / "pod-ranges.pb" / "in-the-way").mkdir(parents=True)
    async with living(settings):
        await until_held(await (await plane.stream()).begun(), dpu())
        assert members(node) == {"10.244.0.2", "10.244.0.7"}
    assert f"--state-dir {settings.state_dir}: what is held cannot be kept" in caplog.text


async def test_without_ztunnel_a_dpu_node_is_sound_too(
    node: ScratchNode, plane: ControlPlane, settings: AgentSettings
) -> None:
    async with living(settings) as life:
        stream = await (await plane.stream()).begun()
        await until_held(stream, dpu())
        await until_held(stream, dpu(ztunnel=ztunnel("10.244.1.2", ready=False)), 2)
        assert life.lease == "dpu"
        assert "istioin" not in node.ip("link show")
