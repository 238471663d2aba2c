"""
An agent's life: what is said is held, what drifts is mended, and the control plane is told of both.

Nothing is written before something was said, by the control plane or, when it is away, by what was kept
on disk. What cannot be held is tried again, at growing intervals, and said to be so all the while.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence

from xds_server.agent import kept
from xds_server.agent.feed import Feed, Taken
from xds_server.agent.keeper import Keeper
from xds_server.agent.lease import renew_lease
from xds_server.agent.patience import Patience, meanwhile
from xds_server.agent.pauses import Pauses
from xds_server.agent.settings import AgentSettings, OnExit
from xds_server.agent.told import Told
from xds_server.agent.watch import Watch
from xds_server.datapath.changes import Change
from xds_server.datapath.plan_text import change_line
from xds_server.datapath.program import Program
from xds_server.exceptions import InputError, KernelError
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

log = logging.getLogger(__name__)

_MOST_TOLD = 10


class Agent:
    """Of one node; it runs once."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._due = asyncio.Event()
        self._is_said = False
        """Whether something is due that no look at the kernel tells of."""
        self._keeper = Keeper(settings.kernel)
        self._keeper.node.before_look = self._forget_news
        self._feed = Feed(settings.node, settings.discovery, self._receive)
        prefix = settings.kernel.names.chain_prefix
        self._watch = Watch(self._keeper.node, prefix, settings.timing.glance, self._wake)
        self._kept: Told | None = None
        self._holds: Told | None = None
        self._program: Program | None = None
        self._problem = ""
        self._pauses = Pauses(settings.timing)
        self._patience = Patience(settings.timing.peer, time.monotonic)
        self.is_sound = False
        """Whether the kernel holds what was last said that makes a program."""

    async def run(self, stopping: asyncio.Event) -> None:
        """
        Live until told to stop.

        Raises:
            KernelError: another agent of the node is running, or what is held could not be removed.

        """
        with kept.alone(self._settings.state_dir):
            self._kept, problem = kept.load(self._settings.state_dir, self._settings.node)
            if problem:
                log.warning("%s; the control plane is waited for", problem)
            if self._kept is not None:
                self._receive()
            async with asyncio.TaskGroup() as tasks:
                lives = (self._feed.run(), self._keep(), self._watch.run(), self._renew())
                running = [tasks.create_task(life) for life in lives]
                await stopping.wait()
                for task in running:
                    task.cancel()
            await self._end()

    async def _end(self) -> None:
        if self._settings.on_exit is OnExit.KEEP:
            log.info("stopped; what the kernel holds stays")
            return
        changes = await self._keeper.remove()
        kept.forget(self._settings.state_dir)
        log.info("stopped; removed: %s", _told(changes) or "nothing was there")

    async def _renew(self) -> None:
        if self._settings.lease.namespace:
            await renew_lease(self._settings.lease, self._dpu_node)

    def _dpu_node(self) -> str:
        """Return whose Lease is to be renewed now; empty for no one's."""
        told = self._holds
        is_dpu = told is not None and told.program.role == api.NodeProgram.DPU
        return self._settings.node if is_dpu and self.is_sound else ""

    def _receive(self) -> None:
        """Learn that there is something to hold."""
        self._is_said = True
        self._due.set()

    def _wake(self, why: str) -> None:
        log.debug("to be looked at: %s", why)
        self._due.set()

    def _forget_news(self) -> None:
        """Take the kernel's news up to now for known: a look follows, or they are of what was put back."""
        self._watch.forget()
        if not self._is_said:
            self._due.clear()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pauses.seconds):
                    await self._due.wait()
            self._due.clear()
            self._is_said = False
            await self._hold(self._feed.take())

    async def _hold(self, taken: Taken) -> None:
        told, before = taken.told or self._kept, self._holds or self._kept
        if told is None:
            return
        left = self._patience.left(told, before)
        try:
            if left:
                held = await self._keeper.hold(meanwhile(told, before), thorough=False)
                await self._watch.hold(held.program, was_drift=False)
                self._pauses.wait(left)
                return
            await self._hold_all(told)
        except InputError as error:
            self._fail(error, is_sound=await self._goes_on(told, before))
        except KernelError as error:
            self._fail(error, is_sound=False)
        if taken.told is not None:
            self._feed.answer(taken, self._problem)

    async def _goes_on(self, told: Told, before: Told | None) -> bool:
        """Hold what was held before one was told what is of no use; tell whether the kernel does."""
        if before is None or told == before:
            return False
        try:
            held = await self._keeper.hold(before, thorough=True)
        except (InputError, KernelError) as error:
            log.error("what was held before is not held either: %s", error)
            return False
        await self._watch.hold(held.program, was_drift=bool(held.changes))
        if held.changes:
            log.warning("repaired: %s", _told(held.changes))
        self._holds = before
        return True

    async def _hold_all(self, told: Told) -> None:
        is_new = told != self._holds
        held = await self._keeper.hold(told, thorough=not is_new)
        # A node's devices come and go, and what it shall hold with them.
        is_other = held.program != self._program
        was_drift = bool(held.changes) and not is_new and not is_other
        await self._watch.hold(held.program, was_drift=was_drift)
        if is_new:
            program, pods = held.program.name, len(held.inputs.pods)
            log.info(
                "held: %s, %d meshed pods; %s", program, pods, _told(held.changes) or "nothing to change"
            )
            self._save(told)
        elif was_drift:
            log.warning("repaired: %s", _told(held.changes))
        elif held.changes:
            log.info("held, as the node has changed: %s", _told(held.changes))
        elif self._problem:
            log.info("held again")
        self._pauses.succeed(changed=bool(held.changes) or bool(self._problem))
        self._problem, self.is_sound, self._holds, self._program = "", True, told, held.program

    def _fail(self, error: InputError | KernelError, *, is_sound: bool) -> None:
        if str(error) != self._problem:
            log.error("not held: %s", error)
        self._problem, self.is_sound = str(error), is_sound
        self._forget_news()
        self._pauses.fail()

    def _save(self, told: Told) -> None:
        try:
            kept.save(self._settings.state_dir, told)
        except OSError as error:
            log.error("--state-dir %s: what is held cannot be kept: %s", self._settings.state_dir, error)


def _told(changes: Sequence[Change]) -> str:
    told = [" ".join(change_line(change).split()) for change in changes[:_MOST_TOLD]]
    more = len(changes) - len(told)
    return "; ".join((*told, *((f"and {more} more",) if more else ())))
