"""All kinds of objects that a mesh is derived from, and how they are told apart."""

from xds_server.objects.gateway_api import Gateway, GatewayClass
from xds_server.objects.kubernetes import (
    DpuNode,
    EndpointSlice,
    KubernetesObject,
    Lease,
    MeshConfigMap,
    Namespace,
    Node,
    ObjectMeta,
    Pod,
    Service,
)
from xds_server.objects.networking import ServiceEntry, WorkloadEntry
from xds_server.objects.policies import AuthorizationPolicy, PeerAuthentication

GATEWAY_API = "gateway.networking.k8s.io"
GATEWAY_VERSIONS = ("v1", "v1beta1")
NETWORKING = "networking.istio.io"
NETWORKING_VERSIONS = ("v1", "v1beta1", "v1alpha3")
SECURITY = "security.istio.io"
SECURITY_VERSIONS = ("v1", "v1beta1")


def _versions(
    group: str, versions: tuple[str, ...], kind: type[KubernetesObject]
) -> dict[tuple[str, str], type[KubernetesObject]]:
    """What is read of a kind is the same in all its versions."""
    return {(f"{group}/{version}", kind.__name__): kind for version in versions}


KINDS: dict[tuple[str, str], type[KubernetesObject]] = {
    ("v1", "ConfigMap"): MeshConfigMap,
    ("v1", "Namespace"): Namespace,
    ("v1", "Node"): Node,
    **_versions(GATEWAY_API, GATEWAY_VERSIONS, GatewayClass),
    **_versions(GATEWAY_API, GATEWAY_VERSIONS, Gateway),
    **_versions(SECURITY, SECURITY_VERSIONS, AuthorizationPolicy),
    **_versions(SECURITY, SECURITY_VERSIONS, PeerAuthentication),
    ("v1", "Service"): Service,
    **_versions(NETWORKING, NETWORKING_VERSIONS, ServiceEntry),
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
    ("coordination.k8s.io/v1", "Lease"): Lease,
    **_versions(NETWORKING, NETWORKING_VERSIONS, WorkloadEntry),
    ("v1", "Pod"): Pod,
}
"""apiVersion and kind of each object in use, in the order in which a first load is cheapest."""

CLUSTER_SCOPED: frozenset[type[KubernetesObject]] = frozenset({Namespace, Node, DpuNode, GatewayClass})


def object_key(kind: type[KubernetesObject], meta: ObjectMeta) -> str:
    """``namespace/name``, or ``name`` for a kind that has no namespace."""
    if kind in CLUSTER_SCOPED:
        return meta.name
    return f"{meta.namespace or 'default'}/{meta.name}"
