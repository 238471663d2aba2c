"""
Services: the Service message, and what workloads need of a service to belong to it.

Rules: facts wds, section 3. Waypoints, ServiceEntries and several networks join here later.
"""

import msgspec

from xds_server.mesh.address import Address, ip_text, service_address, usable_ips
from xds_server.mesh.networks import Networks
from xds_server.mesh.service_ports import TargetPort, app_protocol
from xds_server.objects.kubernetes import Namespace, Service, ServicePort
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Index, Source
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

_Scope = api.LoadBalancing.Scope
_ZONE = (_Scope.NETWORK, _Scope.REGION, _Scope.ZONE)
_NODE = (_Scope.NETWORK, _Scope.REGION, _Scope.ZONE, _Scope.SUBZONE, _Scope.NODE)
_PREFERENCES: dict[str, tuple[api.LoadBalancing.Scope, ...]] = {
    "preferclose": _ZONE,
    "prefersamezone": _ZONE,
    "prefersamenode": _NODE,
}
_SPEC_PREFERENCES = {"PreferClose": _ZONE, "PreferSameZone": _ZONE, "PreferSameNode": _NODE}


class ServiceTarget(msgspec.Struct, frozen=True, gc=False):
    """What of a service decides who belongs to it and with which ports."""

    resource_name: str
    selector: dict[str, str]
    ports: tuple[TargetPort, ...]


class NamespaceDefaults(msgspec.Struct, frozen=True, gc=False):
    """What a namespace decides for the services in it."""

    traffic_distribution: str | None


class Services:
    """The collections of services."""

    def __init__(
        self, graph: Graph, services: Source[Service], namespaces: Source[Namespace], networks: Networks
    ) -> None:
        self._networks = networks
        self._settings = networks.settings
        self._defaults = Mapped(graph, "namespace defaults", namespaces, _namespace_defaults)
        self.targets: Collection[ServiceTarget] = Mapped(graph, "service targets", services, self._target)
        self.targets_by_label = Index(self.targets, "selector label", selector_group)
        self.addresses: Collection[Address] = Mapped(graph, "services", services, self._address)

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
        message = api.Service(
            name=service.name,
            namespace=service.namespace,
            hostname=hostname(service, self._settings),
            addresses=[api.NetworkAddress(network=network, address=vip.packed) for vip in vips],
            ports=[_service_port(port) for port in service.spec.ports or ()],
            ip_families=_ip_families(service),
            canonical=True,
            load_balancing=self._load_balancing(fetch, service),
        )
        return service_address(message, (f"{network}/{ip_text(vip)}" for vip in vips))

    def _load_balancing(self, fetch: Fetch, service: Service) -> api.LoadBalancing | None:
        """A fresh message each time: facts wds 3.4 tells of a shared one that was changed."""
        balancing = self._preference(fetch, service)
        if service.spec.publish_not_ready_addresses:
            balancing = balancing or api.LoadBalancing()
            balancing.health_policy = api.LoadBalancing.ALLOW_ALL
        return balancing

    def _preference(self, fetch: Fetch, service: Service) -> api.LoadBalancing | None:
        if service.spec.internal_traffic_policy == "Local":
            return api.LoadBalancing(mode=api.LoadBalancing.STRICT, routing_preference=[_Scope.NODE])
        scopes = self._scopes(fetch, service)
        if not scopes:
            return None
        return api.LoadBalancing(mode=api.LoadBalancing.FAILOVER, routing_preference=scopes)

    def _scopes(self, fetch: Fetch, service: Service) -> tuple[api.LoadBalancing.Scope, ...]:
        by_spec = _SPEC_PREFERENCES.get(service.spec.traffic_distribution or "")
        if by_spec:
            return by_spec
        wanted = service.annotations.traffic_distribution
        if not wanted:
            defaults = fetch.one(self._defaults, service.namespace)
            wanted = defaults.traffic_distribution if defaults else None
        return _PREFERENCES.get((wanted or "").lower(), ())


def hostname(service: Service, settings: MeshSettings) -> str:
    return f"{service.name}.{service.namespace}.svc.{settings.domain_suffix}"


def label_group(namespace: str, name: str, value: str) -> str:
    return f"{namespace}/{name}={value}"


def selector_group(target: ServiceTarget) -> tuple[str, ...]:
    """
    Group a service under one label of its selector.

    A pod looks under each of its labels and checks the rest of the selector itself, so a changed
    service reruns only the pods that carry this label. The longest text is most often the rarest.
    """
    if not target.selector:
        return ()
    namespace = target.resource_name.partition("/")[0]
    name, value = max(target.selector.items(), key=lambda item: (len(item[0]) + len(item[1]), item))
    return (label_group(namespace, name, value),)


def _namespace_defaults(_fetch: Fetch, _key: str, namespace: Namespace) -> NamespaceDefaults:
    return NamespaceDefaults(namespace.annotations.traffic_distribution)


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
