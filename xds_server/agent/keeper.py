"""
Makes a node hold what the control plane says: the ztunnel pod's namespace first, then the node's own.

A packet is sent to ztunnel by the node's rules, and taken there by the pod's.
"""

import logging
from dataclasses import dataclass, replace

from xds_server.agent.inputs import node_inputs
from xds_server.agent.kernel_keeper import KernelKeeper
from xds_server.agent.local import Local, read_local
from xds_server.agent.settings import NodeSettings
from xds_server.agent.told import Told
from xds_server.datapath.behind import namespace_behind
from xds_server.datapath.changes import Change
from xds_server.datapath.inputs import NodeInputs
from xds_server.datapath.kernel import Kernel, within
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program, TunnelType
from xds_server.datapath.programs import DEFAULT_PROGRAMS, PROGRAMS
from xds_server.datapath.programs.combine import combine
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

log = logging.getLogger(__name__)

_OF_ZTUNNEL = "ztunnel_netns"
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Held:
    """What a node's kernel holds by now, and what was changed for it, in the pod's namespace too."""

    program: Program
    inputs: NodeInputs
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class _Ztunnel:
    uid: str
    keeper: KernelKeeper
    holds: Program | None = None

    def is_as(self, uid: str, desired: Program) -> bool:
        return self.uid == uid and self.holds == desired


class Keeper:
    """Of one node; whoever calls it does so once at a time."""

    def __init__(self, settings: NodeSettings, kernel: Kernel | None = None) -> None:
        self._settings = settings
        kernel = kernel or Kernel(netns=settings.netns)
        self.node = KernelKeeper(kernel, settings.names, settings.backend)
        self._local: Local | None = None
        """As of the end of what was held last."""
        self._ztunnel: _Ztunnel | None = None
        """The pod, once its namespace is found."""
        self._not_found: str | None = None
        """UID of a pod whose namespace is not."""

    async def hold(self, told: Told, *, thorough: bool) -> Held:
        """
        Make the node hold it; what nothing is new of is looked at if that is to be ``thorough``.

        Raises:
            InputError: that makes no program for this node.
            KernelError: others are in the way, something is lacking, or a step failed.

        """
        await self.node.detect()
        names = _names(self._settings.names, told.program.options)
        # What is new is made of what the node was when it was looked at last; another look follows at once.
        local, self._local = None if thorough else self._local, None
        inputs = await self._inputs(told) if local is None else self._inputs_by(told, local)
        changes: list[Change] = []
        for _ in range(_ROUNDS):
            desired, uid = self._desired(inputs, names), told.program.ztunnel.uid
            changes += await self._hold_ztunnel(uid, inputs, names, thorough=thorough)
            changes += await self.node.hold(desired, names)
            # A pod's device that came meanwhile is no news any more: the kernel was looked at since.
            before, inputs = inputs, await self._inputs(told)
            if inputs == before:
                break
        return Held(desired, before, tuple(changes))

    async def remove(self) -> tuple[Change, ...]:
        """
        Leave nothing of ours on the node, but for sysctls; the pod's namespace ends with the pod.

        Raises:
            KernelError: a step failed.

        """
        return await self.node.remove()

    async def _inputs(self, told: Told) -> NodeInputs:
        self._local = await within(self.node.kernel, read_local)
        return self._inputs_by(told, self._local)

    def _inputs_by(self, told: Told, local: Local) -> NodeInputs:
        return node_inputs(told.program, told.ranges, local, self._settings.when_ztunnel_is_gone)

    async def _hold_ztunnel(
        self, uid: str, inputs: NodeInputs, names: Names, *, thorough: bool
    ) -> tuple[Change, ...]:
        if not self._settings.ztunnel_netns or inputs.ztunnel is None or not inputs.ztunnel.device:
            return ()
        desired, ztunnel = PROGRAMS[_OF_ZTUNNEL](inputs, names), self._ztunnel
        if not thorough and (self._not_found == uid or (ztunnel and ztunnel.is_as(uid, desired))):
            return ()
        if ztunnel is None or ztunnel.uid != uid:
            ztunnel = await self._find(uid, inputs.ztunnel.device)
        # Until it is done: a namespace may be gone with the process it was found by.
        self._ztunnel = None
        if ztunnel is None:
            return ()
        changes = await ztunnel.keeper.hold(desired, names)
        self._ztunnel = replace(ztunnel, holds=desired)
        return changes

    async def _find(self, uid: str, device: str) -> "_Ztunnel | None":
        kernel = self.node.kernel
        path = await within(kernel, lambda place: namespace_behind(place, device))
        if not path:
            if self._not_found != uid:
                log.warning(
                    "ztunnel's namespace, behind %s, is not found: it is left to the pod itself", device
                )
            self._not_found = uid
            return None
        self._not_found = None
        keeper = KernelKeeper(replace(kernel, netns=path), self._settings.names, kernel.backend)
        return _Ztunnel(uid, keeper)

    def _desired(self, inputs: NodeInputs, names: Names) -> Program:
        chosen = (DEFAULT_PROGRAMS[inputs.role], *(("pod_routes",) if self._settings.pod_routes else ()))
        return combine(*(PROGRAMS[name](inputs, names) for name in chosen))


def _names(names: Names, options: api.Options) -> Names:
    vxlan = options.tunnel_type == api.Options.VXLAN
    return replace(names, tunnel_type=TunnelType.VXLAN if vxlan else TunnelType.GENEVE)
