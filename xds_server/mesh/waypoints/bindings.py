"""
Bindings: the waypoint of a service or workload, by its own labels or those of its namespace.

Rules: facts wds, 4.3 to 4.8. Services and workloads are bound independently of each other.
"""

from collections.abc import Mapping
from typing import NamedTuple

from xds_server.mesh.networks import Networks
from xds_server.mesh.waypoints.attachment import Attachments, Attempt, foreign, unsupported
from xds_server.mesh.waypoints.canary import Canary, weighted
from xds_server.mesh.waypoints.defaults import INGRESS_LABEL, NOTHING, Defaults, NamespaceWaypoints
from xds_server.mesh.waypoints.gateways import Waypoint, WaypointReader
from xds_server.mesh.waypoints.references import (
    CANARY_LABEL,
    OPTED_OUT,
    USE_LABEL,
    canary_reference,
    use_reference,
)
from xds_server.objects.gateway_api import Gateway, GatewayClass
from xds_server.objects.kubernetes import Namespace, Pod
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Fetch
from xds_server.store.graph import Graph

INSTANCE_LABEL = "gateway.networking.k8s.io/gateway-name"
_MANAGED_LABEL = "gateway.istio.io/managed"
_MANAGED_BY_MESH = ("istio.io-mesh-controller", "istio.io-eastwest-controller")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})


class ServiceBinding(NamedTuple):
    """What waypoints decide of a Service."""

    waypoint: api.GatewayAddress | None = None
    ingress_use_waypoint: bool = False
    weighted: tuple[api.WeightedWaypoint, ...] = ()
    gateway: str = ""
    """The Gateway it is bound to, ``namespace/name``."""
    problem: str = ""
    """What is wrong with the object's own wishes; those of its namespace are told there."""


class WorkloadBinding(NamedTuple):
    """What waypoints decide of a Workload."""

    waypoint: api.GatewayAddress | None = None
    application_tunnel: api.ApplicationTunnel | None = None
    gateway: str = ""
    """The Gateway it is bound to, ``namespace/name``."""
    problem: str = ""
    """What is wrong with the object's own wishes; those of its namespace are told there."""


class WaypointSources(NamedTuple):
    """What waypoints are derived from."""

    gateways: Collection[Gateway]
    classes: Collection[GatewayClass]
    namespaces: Collection[Namespace]
    pods: Collection[Pod]


class Waypoints:
    """The waypoints, and what is bound to them."""

    def __init__(self, graph: Graph, sources: WaypointSources, networks: Networks) -> None:
        reader = WaypointReader(sources.classes, networks)
        self._instances = Index(sources.pods, "gateway", _gateway_of_pod)
        self._attachments = Attachments(graph, sources.gateways, sources.namespaces, reader)
        self._defaults = Defaults(graph, sources.namespaces, self._attachments)
        self.rows: Collection[Waypoint] = self._attachments.waypoints

    def of_service(
        self,
        fetch: Fetch,
        namespace: str,
        labels: Mapping[str, str],
        canary_weight: str | None = None,
        visibility: api.ServiceVisibility = api.ServiceVisibility.PUBLIC,
    ) -> ServiceBinding:
        """Bind a Service or ServiceEntry; ``canary_weight`` is its annotation."""
        if labels.get(_MANAGED_LABEL) in _MANAGED_BY_MESH:
            return ServiceBinding()
        own = use_reference(labels, namespace)
        defaults = self._defaults.of(fetch, namespace)
        primary, problem = self._primary(fetch, namespace, own, defaults)
        if primary is None:
            return ServiceBinding(problem=problem)
        if not primary.takes("service"):
            return ServiceBinding(problem=unsupported(USE_LABEL, primary.gateway, "service"))
        private = visibility == api.ServiceVisibility.NAMESPACE
        if private and primary.namespace != namespace:
            return ServiceBinding(problem=foreign(USE_LABEL, primary.gateway, namespace))
        canary = self._canary(fetch, namespace, labels, NOTHING if own else defaults)
        if canary_weight is not None:
            canary = canary._replace(weight=canary_weight)
        shares = weighted(primary, canary, namespace if private else None)
        return ServiceBinding(
            waypoint=primary.message(),
            ingress_use_waypoint=labels.get(INGRESS_LABEL, defaults.ingress) in _TRUE,
            weighted=shares.weighted,
            gateway=primary.gateway,
            problem="; ".join(filter(None, (problem, shares.problem))),
        )

    def of_workload(self, fetch: Fetch, namespace: str, labels: Mapping[str, str]) -> WorkloadBinding:
        """Bind a pod, WorkloadEntry or endpoint of a ServiceEntry by its labels."""
        instance_of = labels.get(INSTANCE_LABEL)
        waypoint = None if instance_of is None else fetch.one(self.rows, f"{namespace}/{instance_of}")
        if waypoint is not None:
            tunnel = waypoint.binding.message() if waypoint.binding else None
            return WorkloadBinding(application_tunnel=tunnel)
        own = use_reference(labels, namespace)
        defaults = self._defaults.of(fetch, namespace) if own is None else NOTHING
        attachment, problem = self._primary(fetch, namespace, own, defaults)
        if attachment is None:
            return WorkloadBinding(problem=problem)
        if not attachment.takes("workload"):
            # A namespace's waypoint for services is no mistake of the workloads beside them.
            return WorkloadBinding(
                problem=unsupported(USE_LABEL, attachment.gateway, "workload") if own else ""
            )
        return WorkloadBinding(attachment.message(), gateway=attachment.gateway, problem=problem)

    def service_accounts(self, fetch: Fetch, gateway: str) -> list[str]:
        """Return those of the pods of a Gateway (``namespace/name``), sorted, one for each pod."""
        return sorted(pod.spec.service_account_name or "" for pod in fetch.group(self._instances, gateway))

    def _primary(
        self, fetch: Fetch, namespace: str, own: str | None, defaults: NamespaceWaypoints
    ) -> Attempt:
        if own is None:
            return Attempt(defaults.primary)
        return Attempt() if own == OPTED_OUT else self._attachments.attach(fetch, namespace, own)

    def _canary(
        self, fetch: Fetch, namespace: str, labels: Mapping[str, str], defaults: NamespaceWaypoints
    ) -> Canary:
        own = canary_reference(labels, namespace)
        if own is None:
            return Canary(defaults.canary, defaults.canary_weight)
        if own == OPTED_OUT:
            return Canary()
        attachment, problem = self._attachments.attach(fetch, namespace, own, CANARY_LABEL)
        return Canary(attachment, defaults.canary_weight, problem)


def _gateway_of_pod(pod: Pod) -> tuple[str, ...]:
    gateway = pod.labels.get(INSTANCE_LABEL)
    return () if gateway is None else (f"{pod.namespace}/{gateway}",)
