"""
Finding addresses by what a client may ask for (facts wds, 1.8): a resource name, ``network/ip``
of a workload, ``network/vip`` of a service, and all workloads that one node serves.
"""

from collections.abc import Collection, Mapping

from xds_server.mesh.address import Address
from xds_server.store.multimap import MultiMap

_NONE = Address(name="", body=b"", aliases=())


class AddressLookup:
    """The addresses served, with their indexes."""

    def __init__(self) -> None:
        self.addresses: dict[str, Address] = {}
        self._by_alias = MultiMap()
        self._members = MultiMap()
        self._by_node = MultiMap()

    def apply(self, changes: Mapping[str, Address | None]) -> None:
        for name, new in changes.items():
            self._regroup(name, self.addresses.get(name, _NONE), new or _NONE)
            if new is None:
                self.addresses.pop(name, None)
            else:
                self.addresses[name] = new

    def _regroup(self, name: str, old: Address, new: Address) -> None:
        for index, left, joined in (
            (self._by_alias, old.aliases, new.aliases),
            (self._members, old.services, new.services),
            (self._by_node, (old.node,), (new.node,)),
        ):
            if left == joined:
                continue
            for key in left:
                index.discard(key, name)
            for key in joined:
                if key:
                    index.add(key, name)

    def find(self, key: str) -> set[str]:
        """
        Return the resource names that ``key`` stands for; nothing when it is unknown.

        A service, by name or VIP, brings its workloads. An address that a workload owns never
        leads to a service.
        """
        held = self.addresses.get(key)
        if held is not None:
            return {key, *self._members.get(key)}
        found = [self.addresses[name] for name in self._by_alias.get(key)]
        workloads = {address.name for address in found if not is_service(address)}
        if workloads or not found:
            return workloads
        service = min(address.name for address in found)
        return {service, *self._members.get(service)}

    def members(self, service: str) -> Collection[str]:
        return self._members.get(service)

    def served_by(self, node: str) -> Collection[str]:
        return self._by_node.get(node) if node else ()


def is_service(address: Address) -> bool:
    """Tell by the field number at the head of the Address message."""
    return address.body[:1] == b"\x12"
