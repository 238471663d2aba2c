"""
ServiceEntries: a Service message for each host, and what workloads need of it.

Rules: facts wds, section 3.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from xds_server.mesh.address import Address, ip_text, parse_block, service_address, usable_ips
from xds_server.mesh.host_claims import HostClaim, HostClaims
from xds_server.mesh.load_balancing import LoadBalancings
from xds_server.mesh.mesh_config import NAMESPACE, NONE, MeshConfigs
from xds_server.mesh.networks import Networks
from xds_server.mesh.service_ports import TargetPort, named_protocol
from xds_server.mesh.services import Services
from xds_server.mesh.targets import ServiceTarget
from xds_server.mesh.waypoints.bindings import ServiceBinding, Waypoints
from xds_server.objects.networking import ServiceEntry, ServiceEntryPort
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection
from xds_server.store.derive import Expanded, Fetch, Mapped
from xds_server.store.graph import Graph

_AUTO_ALLOCATE_LABEL = "networking.istio.io/enable-autoallocate-ip"


class Block(msgspec.Struct, frozen=True, gc=False):
    """An address of a service, or a block of them where it has a ``length``."""

    ip: bytes
    text: str
    length: int | None = None

    def message(self, network: str) -> api.NetworkAddress:
        return api.NetworkAddress(network=network, address=self.ip, length=self.length)

    def alias(self, network: str) -> str:
        return f"{network}/{self.text}" if self.length is None else f"{network}/{self.text}/{self.length}"


class PublishedEntry(msgspec.Struct, frozen=True, gc=False):
    """A ServiceEntry that somebody may see and whose addresses can all be used."""

    entry: ServiceEntry
    blocks: tuple[Block, ...]
    is_public: bool

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.entry.spec.hosts or ()))

    @property
    def resolution(self) -> str:
        return self.entry.spec.resolution or "NONE"

    @property
    def visibility(self) -> api.ServiceVisibility:
        return api.ServiceVisibility.PUBLIC if self.is_public else api.ServiceVisibility.NAMESPACE


class EntrySurroundings(NamedTuple):
    """What ServiceEntries are derived with."""

    services: Services
    configs: MeshConfigs
    networks: Networks
    waypoints: Waypoints
    balancings: LoadBalancings


class ServiceEntries:
    """The collections of ServiceEntries."""

    def __init__(self, graph: Graph, entries: Collection[ServiceEntry], around: EntrySurroundings) -> None:
        self._around = around
        self.published: Collection[PublishedEntry] = Mapped(
            graph, "published service entries", entries, self._publish
        )
        claims = Expanded(graph, "claimed hosts", self.published, _claims)
        self.claims = HostClaims(graph, claims, around.services, around.networks.settings)
        self.targets: Collection[ServiceTarget] = Expanded(
            graph, "service entry targets", self.published, self._targets
        )
        self.addresses: Collection[Address] = Expanded(
            graph, "service entries", self.published, self._addresses
        )

    def held_hosts(self, fetch: Fetch, key: str, row: PublishedEntry) -> Iterator[str]:
        """Yield the hosts of a ServiceEntry that no other serves in its place."""
        return (host for host in row.hosts if self.claims.has(fetch, key, host))

    def binding(self, fetch: Fetch, row: PublishedEntry) -> ServiceBinding:
        entry, weight = row.entry, row.entry.annotations.canary_weight
        return self._around.waypoints.of_service(fetch, entry.namespace, entry.labels, weight, row.visibility)

    def _publish(self, fetch: Fetch, _key: str, entry: ServiceEntry) -> PublishedEntry | None:
        visibility = self._around.configs.visibility(fetch, entry.namespace)
        if visibility == NONE:
            return None
        blocks = (parse_block(text, "spec.addresses") for text in entry.spec.addresses or ())
        return PublishedEntry(
            entry=entry,
            blocks=tuple(Block(ip.packed, ip_text(ip), length) for ip, length in blocks),
            is_public=visibility != NAMESPACE,
        )

    def _targets(self, fetch: Fetch, key: str, row: PublishedEntry) -> dict[str, ServiceTarget]:
        selector = row.entry.spec.workload_selector
        ports = tuple(_target_port(port) for port in row.entry.spec.ports or ())
        return {
            host: ServiceTarget(
                resource_name=f"{row.entry.namespace}/{host}",
                selector=(selector.labels if selector else None) or {},
                ports=ports,
                is_entry=True,
            )
            for host in self.held_hosts(fetch, key, row)
        }

    def _addresses(self, fetch: Fetch, key: str, row: PublishedEntry) -> dict[str, Address]:
        hosts = list(self.held_hosts(fetch, key, row))
        if not hosts:
            return {}
        network = self._around.networks.local(fetch)
        shared = self._shared(fetch, row)
        made = {}
        for host in hosts:
            blocks = _blocks(fetch, row, host)
            message = api.Service()
            message.CopyFrom(shared)
            message.hostname = host
            message.canonical = self.claims.is_canonical(fetch, key, host)
            message.addresses.extend(block.message(network) for block in blocks)
            made[host] = service_address(message, (block.alias(network) for block in blocks))
        return made

    def _shared(self, fetch: Fetch, row: PublishedEntry) -> api.Service:
        """What all hosts of a ServiceEntry have in common."""
        entry, annotations = row.entry, row.entry.annotations
        binding = self.binding(fetch, row)
        if binding.problem:
            fetch.note(binding.problem)
        return api.Service(
            name=entry.name,
            namespace=entry.namespace,
            ports=[_service_port(port) for port in entry.spec.ports or ()],
            subject_alt_names=entry.spec.subject_alt_names or (),
            load_balancing=self._around.balancings.of_entry(
                fetch, entry.namespace, annotations.traffic_distribution, row.resolution
            ),
            waypoint=binding.waypoint,
            ingress_use_waypoint=binding.ingress_use_waypoint,
            weighted_waypoints=binding.weighted,
            visibility=row.visibility,
        )


def _claims(_fetch: Fetch, key: str, row: PublishedEntry) -> dict[str, HostClaim]:
    return {host: HostClaim(host, key, row.entry.created, row.is_public) for host in row.hosts}


def _blocks(fetch: Fetch, row: PublishedEntry, host: str) -> tuple[Block, ...]:
    """Return the addresses stated for all hosts, else those that were allocated to this one."""
    entry = row.entry
    if row.blocks or row.resolution == "NONE":
        return row.blocks
    if entry.labels.get(_AUTO_ALLOCATE_LABEL, "").lower() == "false":
        return ()
    if host.startswith("*") and row.resolution != "DYNAMIC_DNS":
        return ()
    texts = [item.value for item in entry.status.addresses or () if item.host == host]
    ips = usable_ips(fetch, texts, "status.addresses")
    return tuple(Block(ip.packed, ip_text(ip)) for ip in ips)


def _service_port(port: ServiceEntryPort) -> api.Port:
    return api.Port(
        service_port=port.number,
        target_port=port.target_port or port.number,
        app_protocol=named_protocol(port.protocol),
    )


def _target_port(port: ServiceEntryPort) -> TargetPort:
    return TargetPort(port.number, port.name or "", port.target_port or 0)
