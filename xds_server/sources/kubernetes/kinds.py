"""What is listed and watched: each kind's place in the API, and which of its objects are wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from xds_server.objects.gateway_api import Gateway, GatewayClass
from xds_server.objects.kinds import (
    GATEWAY_API,
    GATEWAY_VERSIONS,
    NETWORKING,
    NETWORKING_VERSIONS,
    SECURITY,
    SECURITY_VERSIONS,
)
from xds_server.objects.kubernetes import (
    ConfigMap,
    DpuNode,
    DpuPod,
    EndpointSlice,
    KubernetesObject,
    Lease,
    MeshConfigMap,
    Namespace,
    Node,
    Pod,
    Service,
)
from xds_server.objects.networking import ServiceEntry, WorkloadEntry
from xds_server.objects.policies import AuthorizationPolicy, PeerAuthentication

AGENT_LABEL = "offmesh.io/agent"
"""Of the Leases that agents on DPU nodes renew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedKind:
    """
    A kind in one place of the API.

    An ``optional`` kind may not be installed: then it has no objects, until it is.
    """

    type: type[KubernetesObject]
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    """Served versions that can be read, the preferred one first."""
    plural: str
    namespace: str = ""
    """The only namespace that is looked at; '' looks at all."""
    selectors: Mapping[str, str] = field(default_factory=dict)
    """``fieldSelector`` and ``labelSelector``."""
    optional: bool = False

    @property
    def name(self) -> str:
        return self.type.__name__

    @property
    def right(self) -> str:
        """What RBAC must grant."""
        where = f" in namespace {self.namespace}" if self.namespace else " in all namespaces"
        resource = f"{self.plural}.{self.group}" if self.group else self.plural
        return f"list and watch of {resource}{where}"

    def path(self, version: str) -> str:
        """Return the path of the collection in one of its versions."""
        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        inside = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}{inside}/{self.plural}"


# Finished pods are no workloads: the API server keeps them to itself, and says DELETED when one finishes.
_UNFINISHED = {"fieldSelector": "status.phase!=Failed,status.phase!=Succeeded"}


def mesh_kinds(istio: tuple[WatchedKind, ...] = ()) -> tuple[WatchedKind, ...]:
    """Return what a mesh is derived from, in the order in which a first load is cheapest."""
    return (
        WatchedKind(type=Namespace, plural="namespaces"),
        WatchedKind(type=Node, plural="nodes"),
        *istio,
        WatchedKind(type=Service, plural="services"),
        WatchedKind(type=EndpointSlice, group="discovery.k8s.io", plural="endpointslices"),
        WatchedKind(type=Pod, plural="pods", selectors=_UNFINISHED),
    )


def mesh_config_map(namespace: str, name: str) -> WatchedKind:
    """Return the ConfigMap with Istio's settings of the mesh."""
    selectors = {"fieldSelector": f"metadata.name={name}"}
    return WatchedKind(type=MeshConfigMap, plural="configmaps", namespace=namespace, selectors=selectors)


def istio_kinds(namespace: str, config_map: str) -> tuple[WatchedKind, ...]:
    """Return what Istio and the Gateway API add, as far as it is installed, and Istio's own ConfigMap."""
    gateway_api, networking, security = (
        partial(WatchedKind, group=group, versions=versions, optional=True)
        for group, versions in (
            (GATEWAY_API, GATEWAY_VERSIONS),
            (NETWORKING, NETWORKING_VERSIONS),
            (SECURITY, SECURITY_VERSIONS),
        )
    )
    return (
        mesh_config_map(namespace, config_map),
        gateway_api(type=GatewayClass, plural="gatewayclasses"),
        gateway_api(type=Gateway, plural="gateways"),
        security(type=AuthorizationPolicy, plural="authorizationpolicies"),
        security(type=PeerAuthentication, plural="peerauthentications"),
        networking(type=ServiceEntry, plural="serviceentries"),
        networking(type=WorkloadEntry, plural="workloadentries"),
    )


def dpu_kinds() -> tuple[WatchedKind, ...]:
    """Return what is read of a second cluster, that of the DPU nodes."""
    return (
        WatchedKind(type=DpuNode, plural="nodes"),
        WatchedKind(type=DpuPod, plural="pods", selectors=_UNFINISHED),
    )


def agent_leases(namespace: str) -> WatchedKind:
    """Return the Leases of agents on DPU nodes."""
    selectors = {"labelSelector": f"{AGENT_LABEL}=true"}
    return WatchedKind(
        type=Lease, group="coordination.k8s.io", plural="leases", namespace=namespace, selectors=selectors
    )


def one_config_map(namespace: str, name: str) -> WatchedKind:
    """Return a single ConfigMap."""
    selectors = {"fieldSelector": f"metadata.name={name}"}
    return WatchedKind(type=ConfigMap, plural="configmaps", namespace=namespace, selectors=selectors)
