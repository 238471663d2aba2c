"""
Finding addresses by what a client may ask for (facts wds, 1.8): a resource name, ``network/ip``
of a workload, ``network/vip`` of a service, and all workloads that one node serves.
"""

from collections.abc import Collection, Mapping

from xds_server.mesh.address import Address
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.multimap import MultiMap

_NONE = Address(name="", body=b"", aliases=())


class AddressLookup:
    """The addresses served, with their indexes."""

    def __init__(self) -> None:
        self.addresses: dict[str, Address] = {}
        self.admit_unready: set[str] = set()
        """Services whose workloads are endpoints whatever their health."""
        self._by_alias = MultiMap()
        self._members = MultiMap()
        self._by_node = MultiMap()

    def apply(self, changes: Mapping[str, Address | None]) -> set[str]:
        """
        Take new addresses (None removes); return services whose workloads must be told once more.

        A ztunnel that was sent a workload while it did not count as an endpoint of its service does
        not look at it again because the service has changed, or is back (ztunnel facts, 1.7).
        """
        again = set()
        for name, new in changes.items():
            old = self.addresses.get(name)
            self._regroup(name, old or _NONE, new or _NONE)
            if new is None:
                self.addresses.pop(name, None)
            else:
                self.addresses[name] = new
            if self._judge_health(name, new) or (old is None and new is not None and is_service(new)):
                again.add(name)
        return again

    def _judge_health(self, name: str, new: Address | None) -> bool:
        """Note whether a service admits workloads that are not ready; tell whether it newly does."""
        admitted = name in self.admit_unready
        admits = new is not None and is_service(new) and _admits_unready(new.body)
        if admits:
            self.admit_unready.add(name)
        else:
            self.admit_unready.discard(name)
        return admits and not admitted

    def _regroup(self, name: str, old: Address, new: Address) -> None:
        for index, left, joined in (
            (self._by_alias, keys_of(old.aliases), keys_of(new.aliases)),
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


def keys_of(aliases: tuple[str, ...]) -> tuple[str, ...]:
    """Return by which names aliases are found: a range, ``network/ip/length``, by its first address."""
    if any(alias.count("/") > 1 for alias in aliases):
        return tuple({"/".join(alias.split("/", 2)[:2]): None for alias in aliases})
    return aliases


def is_service(address: Address) -> bool:
    """Tell by the field number at the head of the Address message."""
    return address.body[:1] == b"\x12"


def _admits_unready(body: bytes) -> bool:
    balancing = api.Address.FromString(body).service.load_balancing
    return balancing.health_policy == api.LoadBalancing.ALLOW_ALL
