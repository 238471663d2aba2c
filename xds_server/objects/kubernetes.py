"""
Kubernetes objects, reduced to the fields this program reads.

Unknown fields are skipped by the decoder without being built, so a pod with 300 kB of
annotations costs no more memory than one without. Field names follow the Kubernetes API.
"""

from typing import Annotated

import msgspec

# What the API server enforces for names (RFC 1123 subdomain); manifests have none before them.
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z", max_length=253)]
NamespaceName = Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?\Z", max_length=63)]
PortNumber = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Part(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A part of an object. Values form no cycles, so the collector need not follow them."""


class OwnerReference(Part, frozen=True):
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Annotations(Part, frozen=True, rename=None):
    """The annotations in use, by what they say."""

    uplink: str | None = msgspec.field(name="offmesh.io/uplink", default=None)
    redirection: str | None = msgspec.field(name="ambient.istio.io/redirection", default=None)
    sidecar_status: str | None = msgspec.field(name="sidecar.istio.io/status", default=None)
    traffic_distribution: str | None = msgspec.field(
        name="networking.istio.io/traffic-distribution", default=None
    )
    canary_weight: str | None = msgspec.field(name="istio.io/use-waypoint-canary-weight", default=None)
    inbound_binding: str | None = msgspec.field(
        name="ambient.istio.io/waypoint-inbound-binding", default=None
    )
    gateway_service_account: str | None = msgspec.field(name="gateway.istio.io/service-account", default=None)
    auto_registration_group: str | None = msgspec.field(name="istio.io/autoRegistrationGroup", default=None)
    dry_run: str | None = msgspec.field(name="istio.io/dry-run", default=None)


class ObjectMeta(Part, frozen=True):
    name: Name
    namespace: NamespaceName | None = None
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: Annotations | None = None
    deletion_timestamp: str | None = None
    generate_name: str | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class KubernetesObject(msgspec.Struct, frozen=True, gc=False, rename="camel", kw_only=True):
    """What every object has."""

    metadata: ObjectMeta

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def namespace(self) -> str:
        return self.metadata.namespace or ""

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}

    @property
    def annotations(self) -> Annotations:
        return self.metadata.annotations or NO_ANNOTATIONS


NO_ANNOTATIONS = Annotations()


class DatedMeta(ObjectMeta, frozen=True):
    """Of kinds where age decides; the others do not keep it."""

    creation_timestamp: str | None = None


class DatedObject(KubernetesObject, frozen=True):
    metadata: DatedMeta

    @property
    def created(self) -> str:
        """RFC 3339 in UTC, which sorts as text; '' where a manifest has none, which counts as the oldest."""
        return self.metadata.creation_timestamp or ""


class ContainerPort(Part, frozen=True):
    container_port: PortNumber
    name: str | None = None
    protocol: str | None = None


class Container(Part, frozen=True):
    ports: tuple[ContainerPort, ...] | None = None
    restart_policy: str | None = None


class PodSpec(Part, frozen=True):
    node_name: str | None = None
    service_account_name: str | None = None
    host_network: bool | None = None
    containers: tuple[Container, ...] | None = None
    init_containers: tuple[Container, ...] | None = None


class PodIP(Part, frozen=True):
    ip: str = ""


class PodCondition(Part, frozen=True):
    type: str = ""
    status: str = ""


class PodStatus(Part, frozen=True):
    phase: str | None = None
    pod_ip: str | None = msgspec.field(name="podIP", default=None)
    pod_ips: tuple[PodIP, ...] | None = msgspec.field(name="podIPs", default=None)
    conditions: tuple[PodCondition, ...] | None = None


class Pod(KubernetesObject, frozen=True):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class ServicePort(Part, frozen=True):
    port: PortNumber
    name: str | None = None
    protocol: str | None = None
    target_port: PortNumber | str | None = None
    app_protocol: str | None = None


class ServiceSpec(Part, frozen=True):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    cluster_ips: tuple[str, ...] | None = msgspec.field(name="clusterIPs", default=None)
    ports: tuple[ServicePort, ...] | None = None
    selector: dict[str, str] | None = None
    ip_families: tuple[str, ...] | None = None
    internal_traffic_policy: str | None = None
    publish_not_ready_addresses: bool | None = None
    traffic_distribution: str | None = None


class Service(KubernetesObject, frozen=True):
    spec: ServiceSpec = ServiceSpec()


class TargetRef(Part, frozen=True):
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class EndpointConditions(Part, frozen=True):
    ready: bool | None = None


class Endpoint(Part, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions | None = None
    target_ref: TargetRef | None = None


class EndpointPort(Part, frozen=True):
    name: str | None = None
    port: PortNumber | None = None
    protocol: str | None = None


class EndpointSlice(KubernetesObject, frozen=True):
    address_type: str = ""
    endpoints: tuple[Endpoint, ...] | None = None
    ports: tuple[EndpointPort, ...] | None = None


class NodeAddress(Part, frozen=True):
    type: str = ""
    address: str = ""


class NodeCondition(Part, frozen=True):
    type: str = ""
    status: str = ""


class NodeStatus(Part, frozen=True):
    addresses: tuple[NodeAddress, ...] | None = None
    conditions: tuple[NodeCondition, ...] | None = None


class NodeSpec(Part, frozen=True):
    pod_cidr: str | None = msgspec.field(name="podCIDR", default=None)
    pod_cidrs: tuple[str, ...] | None = msgspec.field(name="podCIDRs", default=None)


class Node(KubernetesObject, frozen=True):
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def internal_ips(self) -> tuple[str, ...]:
        return tuple(item.address for item in self.status.addresses or () if item.type == "InternalIP")


class DpuNode(Node, frozen=True):
    """A node of the cluster of the DPU nodes, where that is a second one."""


class DpuPod(Pod, frozen=True):
    """A pod of that cluster: it may be the caller of a call, and is no workload of the mesh."""


class Namespace(KubernetesObject, frozen=True):
    pass


class LeaseSpec(Part, frozen=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    renew_time: str | None = None


class Lease(KubernetesObject, frozen=True):
    """A sign of life: who holds it renews it before its duration is over."""

    spec: LeaseSpec = LeaseSpec()


class ConfigMap(KubernetesObject, frozen=True):
    data: dict[str, str] | None = None


class MeshData(Part, frozen=True):
    mesh: str | None = None
    """Istio's MeshConfig, as YAML."""


class MeshConfigMap(KubernetesObject, frozen=True):
    """A ConfigMap that may be the mesh's: of all others nothing is kept."""

    data: MeshData | None = None


DPU_KINDS: tuple[type[KubernetesObject], ...] = (DpuNode, DpuPod)
"""What is read of a second cluster: types of their own, so that no key of one is taken for the other's."""
