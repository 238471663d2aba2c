"""The program of one node, as types of resources of its agent's stream alone."""

from collections.abc import Callable, Collection

from xds_server.catalog.resource import NODE_PROGRAM, POD_RANGES
from xds_server.catalog.served_type import ServedType
from xds_server.exceptions import DeniedError
from xds_server.identity.caller import Caller
from xds_server.mesh.programs import RANGES, Programs

_LOG_CAPACITY = 1_000
TYPES = frozenset({NODE_PROGRAM, POD_RANGES})


class Agents:
    """Whose programs there are, and by which accounts (``namespace/name``) agents prove themselves."""

    def __init__(self, programs: Programs, accounts: Collection[str]) -> None:
        self.programs = programs
        self.accounts = frozenset(accounts)


class StreamPrograms:
    """
    Follows what one agent is told while its stream lives.

    ``wake`` is called when there is something to send; the stream sets it.
    """

    def __init__(self, agents: Agents, caller: Caller | None) -> None:
        self.served = (ServedType(NODE_PROGRAM, _LOG_CAPACITY), ServedType(POD_RANGES, _LOG_CAPACITY))
        self.wake: Callable[[], None] = _nobody
        self._agents = agents
        self._caller = caller
        self._leave: list[Callable[[], None]] = []
        self._of: tuple[str, str] | None = None

    def follow(self, node_id: str) -> None:
        """
        Follow the program of the caller's node; where nobody is asked who he is, of the node he names.

        Raises:
            DeniedError: the caller is no agent.

        """
        if self._leave:
            return
        node, cluster = node_id, ""
        if self._caller is not None:
            node, cluster = self._node_of(self._caller)
        programs, self._of = self._agents.programs, (node, cluster)
        own, ranges = self.served
        self._leave = [
            programs.follow(node, cluster, lambda body: self._put(own, node, body)),
            programs.follow_ranges(lambda body: self._put(ranges, RANGES, body)),
        ]

    def receive_held(self, type_url: str, position: int) -> None:
        """Learn that the agent holds a type as of a position."""
        own = self.served[0]
        if self._of is not None and type_url == own.url and position == own.position and own.resources:
            self._agents.programs.receive_held(*self._of)

    def _node_of(self, caller: Caller) -> tuple[str, str]:
        account = caller.identity.account
        if account not in self._agents.accounts:
            expected = " or ".join(sorted(self._agents.accounts))
            raise DeniedError(f"programs of nodes are for agents: {account} is none, expected {expected}")
        if caller.pod is None or not caller.node:
            raise DeniedError("the caller's node is not known: expected the token of an agent's pod")
        return caller.node, caller.pod.cluster

    def _put(self, served: ServedType, name: str, body: bytes | None) -> None:
        served.apply({name: body}, served.position + 1)
        self.wake()

    def __enter__(self) -> None:
        """Follow until the block ends."""

    def __exit__(self, *_: object) -> None:
        for leave in self._leave:
            leave()
        self._leave = []


def _nobody() -> None:
    """Wake nobody: there is no stream yet."""
