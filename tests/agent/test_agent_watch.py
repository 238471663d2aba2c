"""News of what somebody else did to a kernel, be it told by the kernel or seen by a glance."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.datapath.nodes import DPU
from tests.datapath.real_kernels import VXLAN_NAMES, dpu_node
from tests.helpers.scratch_node import UPLINK, ScratchNode, add_things_of_others, needs_root, scratch_node
from xds_server.agent import watch as module
from xds_server.agent.kernel_keeper import KernelKeeper
from xds_server.agent.watch import Watch
from xds_server.datapath.kernel import Backend, Kernel, Place
from xds_server.datapath.program import Program
from xds_server.exceptions import KernelError

pytestmark = needs_root

PROGRAM = dpu_node()
FEWER = dpu_node(replace(DPU, pods=DPU.pods[:1]))
EVERYTHING, GLANCED = "everything", "a set, a sysctl or a table"
SECONDS = 0.02


class Watched:
    """A watch over a node, and what it woke its agent with."""

    def __init__(self, keeper: KernelKeeper, seconds: float = SECONDS) -> None:
        self.woken: asyncio.Queue[str] = asyncio.Queue()
        self.keeper = keeper
        self.watch = Watch(keeper, "ztunnel-", seconds, self.woken.put_nowait)
        keeper.before_look = self.watch.forget

    async def hold(self, program: Program) -> None:
        """Make the kernel hold a program, as an agent does."""
        changes = await self.keeper.hold(program, VXLAN_NAMES)
        await self.watch.hold(program, was_drift=bool(changes))

    async def told(self, *words: str) -> None:
        """Wait until one is woken with each of these words."""
        missing = set(words)
        while missing:
            why = await self.woken.get()
            missing -= {word for word in missing if word in why}


@asynccontextmanager
async def watching(keeper: KernelKeeper, seconds: float = SECONDS) -> AsyncIterator[Watched]:
    made = Watched(keeper, seconds)
    running = asyncio.create_task(made.watch.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled(), running.exception()


def keeper_of(node: ScratchNode, backend: Backend = Backend.NFT) -> KernelKeeper:
    return KernelKeeper(Kernel(node.name), VXLAN_NAMES, backend)


async def test_when_it_begins_anything_may_have_changed(node: ScratchNode) -> None:
    async with watching(keeper_of(node)) as watched:
        assert await watched.woken.get() == EVERYTHING


DRIFTS = {
    "ip rule delete priority 101": "rule",
    "ip route flush table 102": "route",
    "ip link delete istioin": "link",
    "ip address delete 192.168.126.1/30 dev istioin": "address",
    "iptables-nft -t mangle -F ztunnel-PREROUTING": "chain",
    f"sysctl -qw net/ipv4/conf/{UPLINK}/rp_filter=2": "sysctl",
    "ipset del ztunnel-pods-ips 10.244.0.7": GLANCED,
    f"sysctl -qw net/ipv4/conf/{UPLINK}/send_redirects=1": GLANCED,
}


@pytest.mark.parametrize("command", DRIFTS)
async def test_each_kind_of_drift_is_told(command: str, node: ScratchNode) -> None:
    async with watching(keeper_of(node)) as watched:
        await watched.told(EVERYTHING)
        await watched.hold(PROGRAM)
        node.run(*command.split())
        await watched.told(DRIFTS[command])
        # It is mended, and the same drift is told again.
        await watched.hold(PROGRAM)
        node.run(*command.split())
        await watched.told(DRIFTS[command])


async def test_a_rule_of_the_older_iptables_is_seen_by_glances() -> None:
    with scratch_node() as node:
        add_things_of_others(node, "legacy")
        async with watching(keeper_of(node, Backend.LEGACY)) as watched:
            await watched.told(EVERYTHING)
            await watched.hold(PROGRAM)
            node.run(*["iptables-legacy", "-t", "mangle", "-D", "PREROUTING", "-j", "ztunnel-PREROUTING"])
            await watched.told(GLANCED)


async def until_quiet_but_for(watched: Watched, kinds: Iterable[str], node: ScratchNode) -> None:
    """Do something that is told, and see that nothing else is: whatever was to be told comes before it."""
    node.ip("rule add priority 60 lookup main")
    seen = {await watched.woken.get()}
    while not any("rule" in why for why in seen):
        seen.add(await watched.woken.get())
    assert seen == {*kinds}
    node.ip("rule delete priority 60")


@pytest.mark.parametrize("program", [PROGRAM, FEWER, Program(name="nothing")])
async def test_own_writes_are_no_news(program: Program, node: ScratchNode) -> None:
    """Whoever makes the kernel hold something has looked at it since."""
    keeper = keeper_of(node)
    await keeper.hold(PROGRAM, VXLAN_NAMES)
    async with watching(keeper, 3600) as watched:
        await watched.told(EVERYTHING)
        await watched.hold(program)
        while not watched.woken.empty():
            # A long write may be told before it is over: the agent forgets that with the rest.
            watched.woken.get_nowait()
        await until_quiet_but_for(watched, ["rule"], node)


async def test_one_is_woken_once_by_what_a_glance_sees(node: ScratchNode) -> None:
    """What cannot be mended is tried again at its own pace."""
    async with watching(keeper_of(node)) as watched:
        await watched.told(EVERYTHING)
        await watched.hold(PROGRAM)
        glances = _count_glances(watched)
        node.run("ipset", "del", "ztunnel-pods-ips", "10.244.0.7")
        await watched.told(GLANCED)
        for _ in range(3):
            await glances.get()
        assert watched.woken.empty()
        node.run("ipset", "del", "ztunnel-pods-ips", "10.244.0.2")
        await watched.told(GLANCED)


def _count_glances(watched: Watched) -> "asyncio.Queue[None]":
    counted: asyncio.Queue[None] = asyncio.Queue()
    run = watched.keeper.kernel

    class Counting(KernelKeeper):
        @property
        def kernel(self) -> Kernel:
            counted.put_nowait(None)
            return run

        @kernel.setter
        def kernel(self, _kernel: Kernel) -> None:
            pass

    watched.keeper.__class__ = Counting
    return counted


async def test_a_glance_that_fails_is_told_once_and_ends_nothing(
    node: ScratchNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(keeper_of(node)) as watched:
        await watched.told(EVERYTHING)
        await watched.hold(PROGRAM)
        failed: asyncio.Queue[None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def fail(_place: Place, _held: Program, _prefix: str) -> bytes:
            loop.call_soon_threadsafe(failed.put_nowait, None)
            raise KernelError("the kernel is busy")

        with monkeypatch.context() as patched:
            patched.setattr(module, "glance", fail)
            for _ in range(3):
                await failed.get()
            await watched.told(GLANCED)
            await watched.hold(PROGRAM)
        await watched.told(GLANCED)
        await watched.hold(PROGRAM)
        node.run("ipset", "del", "ztunnel-pods-ips", "10.244.0.7")
        await watched.told(GLANCED)
    assert caplog.text.count("sets, sysctls and tables are not looked at: the kernel is busy") == 1


async def test_what_cannot_be_watched_is_watched_later_and_then_anything_may_have_changed(
    node: ScratchNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    keeper = keeper_of(node)
    keeper.kernel = Kernel("not-there-yet")
    async with watching(keeper) as watched:
        while "the kernel is not watched: network namespace 'not-there-yet'" not in caplog.text:
            await asyncio.sleep(0.01)
        keeper.kernel = Kernel(node.name)
        await watched.told(EVERYTHING)
        node.ip("rule add priority 60 lookup main")
        await watched.told("rule")


async def test_before_there_is_anything_to_watch_there_is_nothing_to_forget(node: ScratchNode) -> None:
    watched = Watched(keeper_of(node))
    await watched.hold(PROGRAM)
    assert watched.woken.empty()
