"""
Workloads of pods: one for every pod that has an address and is not finished.

Rules: facts wds, section 2. ``node`` is the serving node (placement); everything else, locality
included, is the pod's own. Where that node is down the pod cannot be reached, whatever it says of
itself.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from xds_server.mesh.address import Address, ip_text, parse_ip, workload_address
from xds_server.mesh.endpoints import Endpoints
from xds_server.mesh.identities import is_finished
from xds_server.mesh.localities import Locality, node_locality
from xds_server.mesh.membership import Membership, PodMembership, bind
from xds_server.mesh.names import canonical_name, canonical_revision, workload_name
from xds_server.mesh.placement import Placement
from xds_server.mesh.service_ports import pod_ports, pod_ports_of_entry
from xds_server.mesh.services import Services
from xds_server.mesh.targets import ServiceTarget
from xds_server.mesh.tunnels import tunnel
from xds_server.objects.kubernetes import Node, Pod
from xds_server.objects.liveness import NodeDown
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection, Source
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph


class Surroundings(NamedTuple):
    """What workloads of pods are derived with, beside the pods."""

    placement: Placement
    membership: Membership
    by_labels: PodMembership
    services: Services
    endpoints: Endpoints
    nodes_down: Source[NodeDown]


class Workloads:
    """The collections of pods' workloads."""

    def __init__(
        self, graph: Graph, pods: Collection[Pod], nodes: Source[Node], around: Surroundings
    ) -> None:
        self._around = around
        self._settings = around.membership.settings
        self._localities: Collection[Locality] = Mapped(graph, "localities", nodes, node_locality)
        self.addresses: Collection[Address] = Mapped(graph, "pod workloads", pods, self._workload)

    def _workload(self, fetch: Fetch, key: str, pod: Pod) -> Address | None:
        if is_finished(pod):
            return None
        ips = [parse_ip(text, "podIP") for text in _pod_ips(pod)]
        if not ips:
            return None
        node_down = self._is_down(fetch, pod.spec.node_name)
        if node_down and self._settings.unhealthy_pairs == "withdraw":
            return None
        bound = self._around.by_labels.of(fetch, key)
        named = workload_name(pod)
        labels = pod.labels
        protocol, native = tunnel(labels, pod.annotations)
        message = api.Workload(
            uid=f"{self._settings.cluster_id}//Pod/{key}",
            name=pod.name,
            namespace=pod.namespace,
            addresses=[ip.packed for ip in ips],
            network=bound.network,
            tunnel_protocol=protocol,
            native_tunnel=native,
            trust_domain=self._settings.served_trust_domain,
            service_account=pod.spec.service_account_name or "",
            node=self._around.placement.serving_node(fetch, pod.spec.node_name or ""),
            canonical_name=canonical_name(labels, named),
            canonical_revision=canonical_revision(labels),
            workload_type=api.WorkloadType.POD,
            workload_name=named,
            services=self._services(fetch, key, pod, bound.targets),
            status=_status(is_ready(pod) and not node_down),
            cluster_id=self._settings.cluster_id,
            locality=self._locality(fetch, pod.spec.node_name),
            network_mode=(
                api.NetworkMode.HOST_NETWORK if pod.spec.host_network else api.NetworkMode.STANDARD
            ),
        )
        bind(fetch, self._around.membership, message, bound.bonds)
        return workload_address(message, (f"{bound.network}/{ip_text(ip)}" for ip in ips))

    def _is_down(self, fetch: Fetch, node: str | None) -> bool:
        """Tell whether a node counts as down; what is not read costs no pod anything."""
        if not node or self._settings.unhealthy_pairs == "ignore":
            return False
        return fetch.one(self._around.nodes_down, node) is not None

    def _locality(self, fetch: Fetch, node: str | None) -> api.Locality | None:
        locality = fetch.one(self._localities, node) if node else None
        if locality is None:
            return None
        return api.Locality(region=locality.region, zone=locality.zone, subzone=locality.subzone)

    def _services(
        self, fetch: Fetch, key: str, pod: Pod, selecting: Iterable[ServiceTarget]
    ) -> Mapping[str, api.PortList]:
        return {
            target.resource_name: api.PortList(ports=_ports(pod, target))
            for target in (*selecting, *self._naming(fetch, key, pod))
        }

    def _naming(self, fetch: Fetch, key: str, pod: Pod) -> list[ServiceTarget]:
        """Services that an EndpointSlice joins to this very pod, by its UID."""
        targets = []
        for bound in fetch.group(self._around.endpoints.bound_by_pod, key):
            if bound.uid == pod.metadata.uid:
                target = fetch.one(self._around.services.targets, bound.service)
                if target is not None:
                    targets.append(target)
        return targets


def is_ready(pod: Pod) -> bool:
    """Tell whether traffic may go to the pod; a terminating one is on its way out whatever it says."""
    if pod.metadata.deletion_timestamp:
        return False
    return any(item.type == "Ready" and item.status == "True" for item in pod.status.conditions or ())


def _ports(pod: Pod, target: ServiceTarget) -> list[api.Port]:
    return pod_ports_of_entry(pod, target.ports) if target.is_entry else pod_ports(pod, target.ports)


def _status(healthy: bool) -> api.WorkloadStatus:
    return api.WorkloadStatus.HEALTHY if healthy else api.WorkloadStatus.UNHEALTHY


def _pod_ips(pod: Pod) -> list[str]:
    if pod.status.pod_ips:
        return [item.ip for item in pod.status.pod_ips]
    return [pod.status.pod_ip] if pod.status.pod_ip else []
