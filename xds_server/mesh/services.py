"""
Kubernetes Services: the Service message, and what workloads need of one to belong to it.

Rules: facts wds, section 3.
"""

from xds_server.mesh.address import Address, ip_text, service_address, usable_ips
from xds_server.mesh.load_balancing import LoadBalancings
from xds_server.mesh.networks import Networks
from xds_server.mesh.service_ports import TargetPort, app_protocol
from xds_server.mesh.targets import ServiceTarget
from xds_server.mesh.waypoints.bindings import ServiceBinding, Waypoints
from xds_server.objects.kubernetes import Service, ServicePort
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph


class Services:
    """The collections of Services."""

    def __init__(
        self,
        graph: Graph,
        services: Collection[Service],
        networks: Networks,
        waypoints: Waypoints,
        balancings: LoadBalancings,
    ) -> None:
        self.rows = services
        self._networks = networks
        self._settings = networks.settings
        self._waypoints = waypoints
        self._balancings = balancings
        self.targets: Collection[ServiceTarget] = Mapped(graph, "service targets", services, self._target)
        self.addresses: Collection[Address] = Mapped(graph, "services", services, self._address)

    def binding(self, fetch: Fetch, service: Service) -> ServiceBinding:
        weight = service.annotations.canary_weight
        return self._waypoints.of_service(fetch, service.namespace, service.labels, weight)

    def _target(self, _fetch: Fetch, _key: str, service: Service) -> ServiceTarget | None:
        if service.spec.type == "ExternalName":
            return None
        return ServiceTarget(
            resource_name=f"{service.namespace}/{hostname(service, self._settings)}",
            selector=service.spec.selector or {},
            ports=tuple(_target_port(port) for port in service.spec.ports or ()),
        )

    def _address(self, fetch: Fetch, _key: str, service: Service) -> Address | None:
        if service.spec.type == "ExternalName":
            return None
        network = self._networks.local(fetch)
        vips = usable_ips(fetch, _cluster_ips(service), "clusterIP")
        binding = self.binding(fetch, service)
        if binding.problem:
            fetch.note(binding.problem)
        message = api.Service(
            name=service.name,
            namespace=service.namespace,
            hostname=hostname(service, self._settings),
            addresses=[api.NetworkAddress(network=network, address=vip.packed) for vip in vips],
            ports=[_service_port(port) for port in service.spec.ports or ()],
            ip_families=_ip_families(service),
            canonical=True,
            load_balancing=self._balancings.of_service(fetch, service),
            waypoint=binding.waypoint,
            ingress_use_waypoint=binding.ingress_use_waypoint,
            weighted_waypoints=binding.weighted,
        )
        return service_address(message, (f"{network}/{ip_text(vip)}" for vip in vips))


def hostname(service: Service, settings: MeshSettings) -> str:
    return f"{service.name}.{service.namespace}.svc.{settings.domain_suffix}"


def named_by(host: str, settings: MeshSettings) -> str | None:
    """Return ``namespace/name`` of the Service that would have this host; None for any other host."""
    suffix = f".svc.{settings.domain_suffix}"
    name, _, namespace = host.removesuffix(suffix).partition(".")
    if not host.endswith(suffix) or not namespace or "." in namespace:
        return None
    return f"{namespace}/{name}"


def _cluster_ips(service: Service) -> list[str]:
    given = service.spec.cluster_ips or (service.spec.cluster_ip or "",)
    return [text for text in given if text and text != "None"]


def _service_port(port: ServicePort) -> api.Port:
    target = port.target_port if isinstance(port.target_port, int) else 0
    return api.Port(service_port=port.port, target_port=target, app_protocol=app_protocol(port))


def _target_port(port: ServicePort) -> TargetPort:
    number = port.target_port if isinstance(port.target_port, int) else 0
    name = port.target_port if isinstance(port.target_port, str) else ""
    return TargetPort(port.port, port.name or "", number, name)


def _ip_families(service: Service) -> api.IPFamilies:
    match service.spec.ip_families or ():
        case ():
            return api.IPFamilies.AUTOMATIC
        case ("IPv4",):
            return api.IPFamilies.IPV4_ONLY
        case (_,):
            return api.IPFamilies.IPV6_ONLY
        case _:
            return api.IPFamilies.DUAL
