"""
EndpointSlices: which pods they join to a service, and the workloads of their other endpoints.

Rules: facts wds, 2.2 to 2.4. An endpoint that names a pod is that pod; any other is a workload of
its own, on the host network.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import msgspec

from xds_server.mesh.address import Address, ip_text, usable_ips, workload_address
from xds_server.mesh.networks import Networks
from xds_server.mesh.service_ports import endpoint_ports
from xds_server.mesh.services import Services
from xds_server.mesh.targets import ServiceTarget
from xds_server.objects.kubernetes import Endpoint, EndpointSlice
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Expanded, Fetch
from xds_server.store.graph import Graph

_SERVICE_LABEL = "kubernetes.io/service-name"


class BoundPod(msgspec.Struct, frozen=True, gc=False):
    """A pod (``namespace/name`` and UID) that a slice joins to a service (``namespace/name``)."""

    pod: str
    uid: str
    service: str


class Endpoints:
    """The collections of EndpointSlices."""

    def __init__(
        self, graph: Graph, slices: Collection[EndpointSlice], services: Services, networks: Networks
    ) -> None:
        self._networks = networks
        self._settings = networks.settings
        self._services = services
        self.bound = Expanded(graph, "bound pods", slices, _bound_pods)
        self.bound_by_pod = Index(self.bound, "pod", lambda bound: (bound.pod,))
        self.addresses = Expanded(graph, "endpoint workloads", slices, self._workloads)

    def _workloads(self, fetch: Fetch, key: str, endpoint_slice: EndpointSlice) -> dict[str, Address]:
        service = endpoint_slice.labels.get(_SERVICE_LABEL)
        alone = [item for item in endpoint_slice.endpoints or () if not _names_pod(item)]
        if not service or not alone or endpoint_slice.address_type == "FQDN":
            return {}
        target = fetch.one(self._services.targets, f"{endpoint_slice.namespace}/{service}")
        if target is None:
            return {}
        network = self._networks.local(fetch)
        made: dict[str, Address] = {}
        for endpoint, ips in _usable(fetch, alone):
            first = ip_text(ips[0])
            if first not in made:
                message = self._message(key, endpoint_slice, endpoint, target)
                message.addresses.extend(ip.packed for ip in ips)
                message.network = network
                message.uid += first
                made[first] = workload_address(message, (f"{network}/{ip_text(ip)}" for ip in ips))
        return made

    def _message(
        self, key: str, endpoint_slice: EndpointSlice, endpoint: Endpoint, target: ServiceTarget
    ) -> api.Workload:
        """The workload of an endpoint, without its addresses."""
        trust_domain = self._settings.served_trust_domain
        unready = endpoint.conditions is not None and endpoint.conditions.ready is False
        ports = endpoint_ports(endpoint_slice.ports or (), target.ports)
        return api.Workload(
            uid=f"{self._settings.cluster_id}/discovery.k8s.io/EndpointSlice/{key}/",
            name=endpoint_slice.name,
            namespace=endpoint_slice.namespace,
            trust_domain=trust_domain,
            services={target.resource_name: api.PortList(ports=ports)},
            status=api.WorkloadStatus.UNHEALTHY if unready else api.WorkloadStatus.HEALTHY,
            cluster_id=self._settings.cluster_id,
            network_mode=api.NetworkMode.HOST_NETWORK,
        )


def _names_pod(endpoint: Endpoint) -> bool:
    return endpoint.target_ref is not None and endpoint.target_ref.kind == "Pod"


def _usable(
    fetch: Fetch, endpoints: list[Endpoint]
) -> Iterator[tuple[Endpoint, list[IPv4Address | IPv6Address]]]:
    for endpoint in endpoints:
        ips = usable_ips(fetch, endpoint.addresses, "endpoint address")
        if ips and len(ips) == len(endpoint.addresses):
            yield endpoint, ips


def _bound_pods(_fetch: Fetch, _key: str, endpoint_slice: EndpointSlice) -> dict[str, BoundPod]:
    service = endpoint_slice.labels.get(_SERVICE_LABEL)
    if not service:
        return {}
    bound: dict[str, BoundPod] = {}
    for endpoint in endpoint_slice.endpoints or ():
        reference = endpoint.target_ref
        if reference is not None and reference.kind == "Pod" and reference.name:
            pod = f"{reference.namespace or endpoint_slice.namespace}/{reference.name}"
            bound[f"{pod}/{reference.uid or ''}"] = BoundPod(
                pod, reference.uid or "", f"{endpoint_slice.namespace}/{service}"
            )
    return bound
