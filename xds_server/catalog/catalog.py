"""
Everything served, at one position.

Changes of the mesh are staged, the latest of each name; ``publish`` makes them the next position,
for all types together. So all streams see the same sequence of states, however fast the mesh
changes, and a response is encoded once for all of them.
"""

from collections.abc import Iterator, Mapping

from xds_server.catalog.lookup import AddressLookup, is_service
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.catalog.served_type import LOG_CAPACITY, ServedType
from xds_server.mesh.address import Address
from xds_server.store.collection import Change


class Catalog:
    """The served types and the position they are at."""

    def __init__(self, log_capacity: int = LOG_CAPACITY) -> None:
        self.position = 0
        self.lookup = AddressLookup()
        self._log_capacity = log_capacity
        self._staged: dict[str, Address | None] = {}
        self._types = {url: ServedType(url, log_capacity) for url in (AUTHORIZATION, ADDRESS)}

    def stage_addresses(self, changes: Mapping[str, Change[Address]]) -> None:
        """Take changes of one collection of addresses for the next position."""
        # Removals first: a name that one row gives up may be another's in the same transaction.
        self._staged.update((old.name, None) for old, _ in changes.values() if old is not None)
        self._staged.update((new.name, new) for _, new in changes.values() if new is not None)

    @property
    def has_staged(self) -> bool:
        return bool(self._staged)

    def publish(self) -> int:
        """Make what is staged the next position; return the position."""
        staged, self._staged = self._staged, {}
        if staged:
            self.position += 1
            self.lookup.apply(staged)
            self._types[ADDRESS].apply(_bodies(staged), self.position)
            if WORKLOAD in self._types:
                self._types[WORKLOAD].apply(_workload_bodies(staged), self.position)
        return self.position

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


def _bodies(addresses: Mapping[str, Address | None]) -> dict[str, bytes | None]:
    return {name: address.body if address else None for name, address in addresses.items()}


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
