"""
Policies, which reach a client in two parts: before the addresses of its stream and after them.

Theory
1. ztunnel lets through what a policy would forbid if it does not know the policy that a workload
   names, whatever the action (ztunnel facts, 1.7). It takes what a stream brings in that order.
2. So a policy that the client lacks goes before: no workload names what is not there.
3. What it has and must give up goes after: until then some workload may still name it.
4. A policy that covered a namespace or the mesh may come to be for the workloads that name it
   alone. It stays as it was until they are told, or nobody would be covered in between. So goes
   after whatever the client has already and is now for those who name it. The other way round,
   it is to cover its namespace before the workloads cease to name it, and goes before.
5. Where no addresses are owed there is no between, and all goes at once.
"""

from collections.abc import Mapping
from typing import NamedTuple

from xds_server.catalog.resource import AUTHORIZATION
from xds_server.catalog.served_type import LOG_CAPACITY, Encoded, ServedType
from xds_server.protobuf.workloadapi.security.authorization_pb2 import WORKLOAD_SELECTOR, Authorization


class Parted(NamedTuple):
    """What brings a cursor to the present: ``first`` now (None if that is nothing), ``later`` afterwards."""

    first: Encoded | None
    sent: frozenset[str]
    later: frozenset[str]


class PolicyType(ServedType):
    """The policies; what depends on nothing but positions is encoded once, in parts too."""

    def __init__(self, log_capacity: int = LOG_CAPACITY) -> None:
        super().__init__(AUTHORIZATION, log_capacity)
        self._since: dict[str, int] = {}
        """Name -> position from which on it was always there."""
        self._named_only: set[str] = set()
        self._parted: dict[int, Parted] = {}

    def apply(self, bodies: Mapping[str, bytes | None], position: int) -> None:
        super().apply(bodies, position)
        for name, body in bodies.items():
            self._named_only.discard(name)
            if body is None:
                self._since.pop(name, None)
                continue
            self._since.setdefault(name, position)
            if Authorization.FromString(body).scope == WORKLOAD_SELECTOR:
                self._named_only.add(name)
        self._parted.clear()

    def is_later(self, name: str) -> bool:
        """Tell whether who has a policy of this name must hear of its change after the addresses."""
        return name not in self.resources or name in self._named_only

    def is_had(self, name: str, cursor: int) -> bool:
        """Tell whether who was told everything up to ``cursor`` has a policy that is there now."""
        return self._since.get(name, cursor + 1) <= cursor

    def parted(self, cursor: int) -> Parted:
        """Part what changed since ``cursor``."""
        parted = self._parted.get(cursor)
        if parted is None:
            names = self.changed_since(cursor)
            sent = [name for name in names if self._is_first(name, cursor)]
            first = self.some(sent, (), f"{self.position:x}") if sent else None
            parted = Parted(first, frozenset(sent), frozenset(names).difference(sent))
            self._parted[cursor] = parted
        return parted

    def _is_first(self, name: str, cursor: int) -> bool:
        return name in self.resources and not (self.is_later(name) and self.is_had(name, cursor))
