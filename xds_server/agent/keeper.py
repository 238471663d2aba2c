"""
Makes a kernel hold what is wanted: looks, plans, changes, looks again.

What was seen last is remembered. When only pods come and go, what is new is planned against that, at once,
and the look that follows tells whether it was right. So what somebody else did meanwhile costs a second
round, and what nobody did costs no look in advance. Everything else is planned after a look: others may
have something in the place it takes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from xds_server.agent.inputs import node_inputs
from xds_server.agent.local import read_local
from xds_server.agent.settings import NodeSettings
from xds_server.agent.told import Told
from xds_server.datapath.backend import detect_backend
from xds_server.datapath.changes import Change
from xds_server.datapath.execute import apply
from xds_server.datapath.inputs import NodeInputs
from xds_server.datapath.kernel import Kernel, within
from xds_server.datapath.names import Names
from xds_server.datapath.observe import observe
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import NOTHING, Plan, plan
from xds_server.datapath.plan_text import changes_text
from xds_server.datapath.preflight import lacks
from xds_server.datapath.program import MAIN, Program, Route, TunnelType
from xds_server.datapath.programs import DEFAULT_PROGRAMS, PROGRAMS
from xds_server.datapath.programs.combine import combine
from xds_server.exceptions import KernelError
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

log = logging.getLogger(__name__)

_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Held:
    """What a kernel holds by now, and what was changed for it."""

    program: Program
    inputs: NodeInputs
    changes: tuple[Change, ...]


class Keeper:
    """Of one kernel; whoever calls it does so once at a time."""

    def __init__(self, settings: NodeSettings, kernel: Kernel | None = None) -> None:
        self.before_look: Callable[[], None] = _nothing
        """Called each time before the kernel is looked at."""
        self._settings = settings
        self._kernel = kernel or Kernel(netns=settings.netns)
        self._is_detected = False
        self._seen: Observed | None = None
        self._tried: set[object] = set()

    @property
    def kernel(self) -> Kernel:
        return self._kernel

    async def detect(self) -> Kernel:
        """
        Return the kernel with the backend of iptables that the node uses, found once.

        Raises:
            KernelError: rules of ours would be in two, or none is there.

        """
        if not self._is_detected:
            settings = self._settings
            backend = await detect_backend(self._kernel, settings.names, settings.backend)
            self._kernel = replace(self._kernel, backend=backend)
            self._is_detected = True
        return self._kernel

    async def hold(self, told: Told) -> Held:
        """
        Make the kernel hold what the control plane says.

        Raises:
            InputError: that makes no program for this node.
            KernelError: others are in the way, something is lacking, or a step failed.

        """
        kernel = await self.detect()
        local = await within(kernel, read_local)
        inputs = node_inputs(told.program, told.ranges, local, self._settings.when_ztunnel_is_gone)
        names = _names(self._settings.names, told.program.options)
        desired = self._desired(inputs, names)
        return Held(desired, inputs, await self._make(desired, names))

    async def remove(self) -> tuple[Change, ...]:
        """
        Leave nothing of ours, but for sysctls.

        Raises:
            KernelError: a step failed.

        """
        self._seen = None
        return await self._make(NOTHING, self._settings.names)

    def forget(self) -> None:
        """Take nothing that was seen for granted any more."""
        self._seen = None

    def _desired(self, inputs: NodeInputs, names: Names) -> Program:
        chosen = (DEFAULT_PROGRAMS[inputs.role], *(("pod_routes",) if self._settings.pod_routes else ()))
        return combine(*(PROGRAMS[name](inputs, names) for name in chosen))

    async def _make(self, desired: Program, names: Names) -> tuple[Change, ...]:
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
        seen = await observe(self._kernel, desired, names)
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
            if missing := await lacks(self._kernel, desired):
                raise KernelError(f"the node lacks something: {'; '.join(missing)}")
            self._tried.add(kind)
        await apply(self._kernel, found.steps)


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


def _names(names: Names, options: api.Options) -> Names:
    vxlan = options.tunnel_type == api.Options.VXLAN
    return replace(names, tunnel_type=TunnelType.VXLAN if vxlan else TunnelType.GENEVE)
