"""
A DPU node before its CPU node: packets are sent where somebody takes them.

A CPU node's agent that does not send its pods' packets to a DPU node yet waits until that node's agent is
known to hold its part. Not for ever: nobody may tell of an agent that follows another replica, and a pair
that works is not to wait for one that does not speak. Meanwhile it goes on as before or, where there is no
before, as if no ztunnel ran.
"""

import logging
from collections.abc import Callable

from xds_server.agent.told import Told
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

log = logging.getLogger(__name__)


class Patience:
    """``clock`` tells seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._waits_for = ""
        self._until = 0.0

    def left(self, told: Told, before: Told | None) -> float:
        """Return how many seconds to wait with what is told, after what was held ``before``; often 0."""
        peer = sends_to(told)
        if not peer or told.program.peers[0].holds or (before is not None and sends_to(before) == peer):
            self._waits_for = ""
            return 0.0
        if self._waits_for != peer:
            self._waits_for, self._until = peer, self._clock() + self._seconds
            log.info("node %s, its peer, is not known to be ready: waiting for %.0f s", peer, self._seconds)
        left = self._until - self._clock()
        if left <= 0:
            log.warning("node %s, its peer, has not told that it is ready: going on", peer)
            return 0.0
        return left


def meanwhile(told: Told, before: Told | None) -> Told:
    """Return what to hold as long as one waits."""
    if before is not None and sends_to(before):
        return before
    program = api.NodeProgram()
    program.CopyFrom(told.program)
    program.ClearField("ztunnel")
    return Told(program, told.ranges)


def sends_to(told: Told) -> str:
    """Return the node to which a CPU node sends its meshed pods' packets; empty for none."""
    program = told.program
    if program.role != api.NodeProgram.CPU or not program.ztunnel.ready or not program.peers:
        return ""
    return program.peers[0].node
