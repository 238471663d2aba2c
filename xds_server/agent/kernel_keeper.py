"""
Makes a kernel hold a program: looks, plans, changes, looks again.

What was seen last is remembered. When only pods come and go, what is new is planned against that, at once,
and the look that follows tells whether it was right. So what somebody else did meanwhile costs a second
round, and what nobody did costs no look in advance. Everything else is planned after a look: others may
have something in the place it takes.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from xds_server.datapath.backend import detect_backend
from xds_server.datapath.changes import Change
from xds_server.datapath.execute import apply
from xds_server.datapath.kernel import Backend, Kernel
from xds_server.datapath.names import Names
from xds_server.datapath.observe import observe
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import NOTHING, Plan, plan
from xds_server.datapath.plan_text import changes_text
from xds_server.datapath.preflight import lacks
from xds_server.datapath.program import MAIN, Program, Route
from xds_server.exceptions import KernelError

log = logging.getLogger(__name__)

_ROUNDS = 3


class KernelKeeper:
    """Of one kernel; whoever calls it does so once at a time."""

    def __init__(self, kernel: Kernel, names: Names, backend: Backend | None) -> None:
        self.before_look: Callable[[], None] = _nothing
        """Called each time before the kernel is looked at."""
        self.kernel = kernel
        self._names = names
        self._backend = backend
        self._is_detected = False
        self._seen: Observed | None = None
        self._tried: set[object] = set()

    async def detect(self) -> Kernel:
        """
        Return the kernel with the backend of iptables that it uses, found once.

        Raises:
            KernelError: rules of ours would be in two, or none is there.

        """
        if not self._is_detected:
            backend = await detect_backend(self.kernel, self._names, self._backend)
            self.kernel = replace(self.kernel, backend=backend)
            self._is_detected = True
        return self.kernel

    async def hold(self, desired: Program, names: Names) -> tuple[Change, ...]:
        """
        Make it hold a program; return what was changed.

        Raises:
            KernelError: others are in the way, something is lacking, or a step failed.

        """
        await self.detect()
        changes: list[Change] = []
        if self._seen is not None and _differ_in_pods_alone(self._seen.held, desired):
            changes += await self._try(plan(self._seen, desired, names), desired)
        for _ in range(_ROUNDS):
            found = await self._look(desired, names)
            if not found.steps:
                return tuple(changes)
            await self._carry_out(found, desired)
            changes += found.changes
        raise KernelError(f"all steps are done, and the kernel still differs:\n{changes_text(found)}")

    async def remove(self) -> tuple[Change, ...]:
        """
        Leave nothing of ours, but for sysctls.

        Raises:
            KernelError: a step failed.

        """
        self._seen = None
        return await self.hold(NOTHING, self._names)

    async def _try(self, guessed: Plan, desired: Program) -> tuple[Change, ...]:
        """Carry out a plan against what was seen before; if that is not so any more, it is as it was."""
        self._seen = None
        try:
            await self._carry_out(guessed, desired)
        except KernelError as error:
            log.debug("planned without a look: %s", error)
            return ()
        return guessed.changes

    async def _look(self, desired: Program, names: Names) -> Plan:
        self._seen = None
        self.before_look()
        seen = await observe(self.kernel, desired, names)
        found = plan(seen, desired, names)
        if found.clashes:
            raise KernelError(f"others are in the way: {'; '.join(found.clashes)}")
        if not found.steps:
            self._seen = seen
        return found

    async def _carry_out(self, found: Plan, desired: Program) -> None:
        if not found.steps:
            return
        kind = (desired.name, tuple(link.type for link in desired.links))
        if kind not in self._tried:
            if missing := await lacks(self.kernel, desired):
                raise KernelError(f"the node lacks something: {'; '.join(missing)}")
            self._tried.add(kind)
        await apply(self.kernel, found.steps)


def _differ_in_pods_alone(held: Program, desired: Program) -> bool:
    return (
        frozenset(held.chains) == frozenset(desired.chains)
        and frozenset(held.jumps) == frozenset(desired.jumps)
        and frozenset(held.rules) == frozenset(desired.rules)
        and frozenset(held.links) == frozenset(desired.links)
        and _of_main(held) == _of_main(desired)
    )


def _of_main(program: Program) -> frozenset[Route]:
    return frozenset(route for route in program.routes if route.table == MAIN)


def _nothing() -> None:
    """Nobody wants to know."""
