"""Waypoints alone: objects in, and what each Service and Pod is bound to."""

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tests.helpers.objects import put
from xds_server.mesh.networks import Networks
from xds_server.mesh.waypoints.bindings import ServiceBinding, Waypoints, WaypointSources, WorkloadBinding
from xds_server.objects.gateway_api import Gateway, GatewayClass
from xds_server.objects.kinds import KINDS
from xds_server.objects.kubernetes import Namespace, Pod, Service
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings
from xds_server.store.derive import Derivation, Fetch, Mapped
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry

PRIVATE_LABEL = "test/private"
"""Of Services that stand for ServiceEntries which are visible in their namespace alone."""


class Bound:
    """Feed it YAML; read what is bound to what."""

    def __init__(self, *texts: str, settings: MeshSettings | None = None) -> None:
        self.graph = Graph()
        self.registry = Registry(self.graph, KINDS.values())
        of = self.registry.of
        networks = Networks(
            self.graph, of(Namespace), of(Gateway), settings or MeshSettings(network="testnetwork")
        )
        sources = WaypointSources(of(Gateway), of(GatewayClass), of(Namespace), of(Pod))
        self.waypoints = Waypoints(self.graph, sources, networks)
        self.services = Mapped(self.graph, "service bindings", of(Service), self._of_service)
        self.workloads = Mapped(self.graph, "workload bindings", of(Pod), self._of_workload)
        for text in texts:
            put(self.registry, text)

    def _of_service(self, fetch: Fetch, _key: str, item: Service) -> ServiceBinding:
        visibility = api.NAMESPACE if PRIVATE_LABEL in item.labels else api.PUBLIC
        weight = item.annotations.canary_weight
        return self.waypoints.of_service(fetch, item.namespace, item.labels, weight, visibility)

    def _of_workload(self, fetch: Fetch, _key: str, item: Pod) -> WorkloadBinding:
        return self.waypoints.of_workload(fetch, item.namespace, item.labels)

    def service(self, key: str = "ns1/svc") -> ServiceBinding:
        return self.services.rows[key]

    def workload(self, key: str = "ns1/pod") -> WorkloadBinding:
        return self.workloads.rows[key]

    def accounts(self, gateway: str) -> list[str]:
        return self.waypoints.service_accounts(Fetch(), gateway)

    @property
    def shares(self) -> list[tuple[str, int]]:
        """Waypoint and weight of each share of the Service."""
        return [(place(item.destination), item.weight) for item in self.service().weighted]

    def problems(self) -> dict[str, str]:
        """What is told: collection and key -> problem."""
        return {
            f"{item.name} {key}": problem
            for item in self.graph.collections
            if isinstance(item, Derivation)
            for key, problem in item.problems.items()
        }


def place(address: api.GatewayAddress | None) -> str:
    """Tell an address in short: ``host@namespace``, ``network/ip`` or ``-``."""
    if address is None:
        return "-"
    assert address.hbone_mtls_port == 15008
    if address.HasField("hostname"):
        return f"{address.hostname.hostname}@{address.hostname.namespace}"
    return f"{address.address.network}/{'.'.join(str(part) for part in address.address.address)}"


def as_dict(message: Message | None) -> dict[str, object] | None:
    return None if message is None else MessageToDict(message, preserving_proto_field_name=True)


def _meta(name: str, namespace: str, labels: str, annotations: str = "") -> str:
    return f"{{name: {name}, namespace: {namespace}, labels: {{{labels}}}, annotations: {{{annotations}}}}}"


def service(labels: str = "", annotations: str = "", namespace: str = "ns1", name: str = "svc") -> str:
    return f"{{kind: Service, metadata: {_meta(name, namespace, labels, annotations)}}}"


def pod(labels: str = "", namespace: str = "ns1", name: str = "pod", account: str = "default") -> str:
    meta = _meta(name, namespace, labels)
    return f"{{kind: Pod, metadata: {meta}, spec: {{serviceAccountName: {account}}}}}"


def namespace(labels: str = "", annotations: str = "", name: str = "ns1") -> str:
    meta = f"{{name: {name}, labels: {{{labels}}}, annotations: {{{annotations}}}}}"
    return f"{{kind: Namespace, metadata: {meta}}}"


def gateway_class(labels: str = "", annotations: str = "") -> str:
    meta = f"{{name: istio-waypoint, labels: {{{labels}}}, annotations: {{{annotations}}}}}"
    return f"{{kind: GatewayClass, metadata: {meta}}}"


def waypoint(
    traffic: str = "service",
    *,
    name: str = "wp",
    namespace: str = "ns1",
    listeners: str = "",
    annotations: str = "",
    addresses: str | None = None,
) -> str:
    """Write a Gateway as stock waypoints are; an empty ``traffic`` leaves its label out."""
    labels = f"istio.io/waypoint-for: {traffic}" if traffic else ""
    host = f"{{type: Hostname, value: {name}.{namespace}}}"
    return (
        f"{{kind: Gateway, metadata: {_meta(name, namespace, labels, annotations)}, "
        f"spec: {{gatewayClassName: istio-waypoint, listeners: [{listeners}]}}, "
        f"status: {{addresses: [{host if addresses is None else addresses}]}}}}"
    )


def hbone(allowed: str, port: int = 15008, protocol: str = "HBONE") -> str:
    """Write a listener whose ``allowedRoutes.namespaces`` are ``allowed``."""
    return f"{{port: {port}, protocol: {protocol}, allowedRoutes: {{namespaces: {{{allowed}}}}}}}"
