"""
Endpoints of ServiceEntries: those stated in one, else its hosts where DNS resolves them.

Rules: facts wds, 2.2 to 2.4.
"""

from collections.abc import Iterable, Iterator

from xds_server.mesh.address import Address
from xds_server.mesh.membership import Membership
from xds_server.mesh.service_entries import PublishedEntry, ServiceEntries
from xds_server.mesh.service_ports import stated_ports
from xds_server.mesh.stated_workloads import Statement, stated_workload
from xds_server.mesh.targets import ServiceTarget
from xds_server.objects.networking import WorkloadEntrySpec
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection
from xds_server.store.derive import Expanded, Fetch
from xds_server.store.graph import Graph

_RESOLVED_BY_NAME = ("DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")


class ServiceEntryEndpoints:
    """The collection of their workloads."""

    def __init__(self, graph: Graph, entries: ServiceEntries, membership: Membership) -> None:
        self._targets = entries.targets
        self._membership = membership
        self.addresses: Collection[Address] = Expanded(
            graph, "service entry endpoints", entries.published, self._workloads
        )

    def _workloads(self, fetch: Fetch, key: str, row: PublishedEntry) -> dict[str, Address]:
        spec = row.entry.spec
        targets = self._held(fetch, key, row)
        if not targets:
            return {}
        if spec.endpoints:
            return self._stated(fetch, row, list(targets.values()))
        if spec.workload_selector is not None or row.resolution not in _RESOLVED_BY_NAME:
            return {}
        network = self._membership.networks.local(fetch)
        made = {}
        for host, target in targets.items():
            said = _statement(self._uid(row, host), row, WorkloadEntrySpec(address=host), network)
            made[host] = stated_workload(fetch, self._membership, said, _services((target,), {}))
        return made

    def _held(self, fetch: Fetch, key: str, row: PublishedEntry) -> dict[str, ServiceTarget]:
        """Return the hosts that no other ServiceEntry serves in its place: with none, it has no endpoints."""
        targets = {host: fetch.one(self._targets, f"{key}/{host}") for host in row.hosts}
        return {host: target for host, target in targets.items() if target is not None}

    def _stated(self, fetch: Fetch, row: PublishedEntry, targets: list[ServiceTarget]) -> dict[str, Address]:
        made: dict[str, Address] = {}
        for place, (endpoint, network) in enumerate(self._with_networks(fetch, row)):
            address = endpoint.address or ""
            if address in made:
                expected = "expected each address once, the first is used"
                fetch.note(f"spec.endpoints[{place}].address is {address!r} again: {expected}")
                continue
            said = _statement(self._uid(row, address), row, endpoint, network, endpoint.labels or {})
            services = _services(targets, endpoint.ports or {})
            made[address] = stated_workload(fetch, self._membership, said, services)
        return made

    def _with_networks(self, fetch: Fetch, row: PublishedEntry) -> Iterator[tuple[WorkloadEntrySpec, str]]:
        """As istiod has it, an endpoint without a network is on that of the one before it; that is told."""
        local = network = self._membership.networks.local(fetch)
        for place, endpoint in enumerate(row.entry.spec.endpoints or ()):
            if not endpoint.network and network != local:
                expected = f"expected one: {network!r} is taken from the endpoint before it"
                fetch.note(f"spec.endpoints[{place}].network is not set: {expected}")
            network = endpoint.network or network
            yield endpoint, network

    def _uid(self, row: PublishedEntry, address: str) -> str:
        entry, cluster = row.entry, self._membership.settings.cluster_id
        return f"{cluster}/networking.istio.io/ServiceEntry/{entry.namespace}/{entry.name}/{address}"


def _statement(
    uid: str,
    row: PublishedEntry,
    spec: WorkloadEntrySpec,
    network: str,
    waypoint_labels: dict[str, str] | None = None,
) -> Statement:
    entry = row.entry
    return Statement(
        uid=uid,
        name=entry.name,
        namespace=entry.namespace,
        workload_name=entry.name,
        labels=entry.metadata.labels,
        waypoint_labels=waypoint_labels,
        annotations=entry.annotations,
        network=network,
        spec=spec,
    )


def _services(targets: Iterable[ServiceTarget], stated: dict[str, int]) -> dict[str, api.PortList]:
    return {
        target.resource_name: api.PortList(ports=stated_ports(stated, target.ports)) for target in targets
    }
