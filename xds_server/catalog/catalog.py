"""
Everything served, at one position.

Changes of the mesh are staged, the latest of each name; ``publish`` makes them the next position,
for all types together. So all streams see the same sequence of states, however fast the mesh
changes, and a response is encoded once for all of them.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from xds_server.catalog.lookup import AddressLookup, is_service
from xds_server.catalog.policies import PolicyType
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.catalog.served_type import LOG_CAPACITY, ServedType
from xds_server.mesh.address import Address
from xds_server.mesh.policies.authorization import AuthorizationRow
from xds_server.store.collection import Change

Row = TypeVar("Row", Address, AuthorizationRow)


class Catalog:
    """The served types and the position they are at."""

    def __init__(self, log_capacity: int = LOG_CAPACITY) -> None:
        self.position = 0
        self.lookup = AddressLookup()
        self._log_capacity = log_capacity
        self._staged: dict[str, Address | None] = {}
        self._policies: dict[str, AuthorizationRow] = {}
        self._staged_policies: dict[str, AuthorizationRow | None] = {}
        self._types: dict[str, ServedType] = {
            AUTHORIZATION: PolicyType(log_capacity),
            ADDRESS: ServedType(ADDRESS, log_capacity),
        }

    def stage_addresses(self, changes: Mapping[str, Change[Address]]) -> None:
        """Take changes of one collection of addresses for the next position."""
        _stage(changes, self._staged, self.lookup.addresses)

    def stage_authorizations(self, changes: Mapping[str, Change[AuthorizationRow]]) -> None:
        """Take changes of one collection of policies for the next position."""
        _stage(changes, self._staged_policies, self._policies)

    @property
    def has_staged(self) -> bool:
        return bool(self._staged or self._staged_policies)

    def publish(self) -> int:
        """Make what is staged the next position; return the position."""
        if self.has_staged:
            self.position += 1
        policies, self._staged_policies = self._staged_policies, {}
        if policies:
            self._publish_policies(policies)
        staged, self._staged = self._staged, {}
        if staged:
            self._publish_addresses(staged)
        return self.position

    def _publish_policies(self, staged: Mapping[str, AuthorizationRow | None]) -> None:
        self._policies.update((name, row) for name, row in staged.items() if row is not None)
        for name in [name for name, row in staged.items() if row is None]:
            self._policies.pop(name, None)
        self._types[AUTHORIZATION].apply(_bodies(staged), self.position)

    def _publish_addresses(self, staged: Mapping[str, Address | None]) -> None:
        again = self.lookup.apply(staged)
        addresses = self._types[ADDRESS]
        addresses.apply(_bodies(staged), self.position)
        for service in again:
            addresses.tell_again(self.lookup.members(service), self.position)
        if WORKLOAD in self._types:
            self._types[WORKLOAD].apply(_workload_bodies(staged), self.position)

    def serves(self, url: str) -> bool:
        return url in self._types or url == WORKLOAD

    def label(self, url: str) -> str:
        """Return what a type is counted under: clients must not be able to invent counters."""
        return url if self.serves(url) else "unknown"

    def of(self, url: str) -> ServedType:
        """
        Return a type; one that is not served is empty.

        Bare workloads, which ztunnel never asks for, are framed on first use.
        """
        if url == WORKLOAD and WORKLOAD not in self._types:
            workloads = self._types[WORKLOAD] = ServedType(WORKLOAD, self._log_capacity)
            workloads.apply(_workload_bodies(self.lookup.addresses), self.position)
        return self._types.get(url) or ServedType(url)

    def types(self) -> Iterator[ServedType]:
        yield from self._types.values()


def _stage(
    changes: Mapping[str, Change[Row]], staged: dict[str, Row | None], held: Mapping[str, Row]
) -> None:
    """
    Take the changes of one collection.

    A name that one row gives up may be another's by now, of this collection or of one that told its
    changes before: a row removes only itself.
    """
    for old, _ in changes.values():
        if old is not None and staged.get(old.name, held.get(old.name)) is old:
            staged[old.name] = None
    staged.update((new.name, new) for _, new in changes.values() if new is not None)


def _bodies(rows: Mapping[str, Row | None]) -> dict[str, bytes | None]:
    return {name: row.body if row is not None else None for name, row in rows.items()}


def _workload_bodies(addresses: Mapping[str, Address | None]) -> dict[str, bytes | None]:
    return {
        name: _workload_body(address.body) if address and not is_service(address) else None
        for name, address in addresses.items()
    }


def _workload_body(body: bytes) -> bytes:
    """Cut the Workload out of an Address that holds one: a tag, a length, the message."""
    start = 1
    while body[start] & 0x80:
        start += 1
    return body[start + 1 :]
