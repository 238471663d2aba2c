"""The settings of a server: read once from flags and environment, frozen from then on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """What the mesh is called; the same on every replica, because it goes into what is served."""

    trust_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    network: str = ""
    """Overrides the label ``topology.istio.io/network`` of the root namespace when not empty."""
    root_namespace: str = "istio-system"
    """Whose policies are for every workload."""
    system_namespace: str = ""
    """Where Istio itself is, with its ConfigMap; '' is the root namespace."""
    unsaid: tuple[Literal["root_namespace", "trust_domain"], ...] = ()
    """What no flag says: Istio's ConfigMap may, when a server starts."""
    domain_suffix: str = "cluster.local"
    unhealthy_pairs: Literal["unhealthy", "withdraw", "ignore"] = "unhealthy"
    """What becomes of the workloads of a pair that is down."""
    revision: str = ""
    """Objects labelled ``istio.io/rev`` with another are not read; '' reads all."""
    service_entries_select_pods: bool = True
    services_select_workload_entries: bool = True
    dry_run_policies: bool = False
    """Whether policies that only try what they would do are served, for proxies to log."""
    waypoint_policies: bool = False
    """Whether workloads allow their waypoints without a policy that says so."""

    @property
    def istio_namespace(self) -> str:
        return self.system_namespace or self.root_namespace

    @property
    def served_trust_domain(self) -> str:
        """What goes into a workload: ztunnel fills in the default itself, so that is not sent."""
        return "" if self.trust_domain == "cluster.local" else self.trust_domain


@dataclass(frozen=True, slots=True, kw_only=True)
class DatapathSettings:
    """What the agents of all nodes are told alike."""

    tunnel_type: Literal["geneve", "vxlan"] = "geneve"
    capture_dns: bool = False
    """Whether ztunnel answers meshed pods' DNS."""
    ztunnel_namespaces: frozenset[str] = frozenset({"istio-system"})
    """Where the pods of ztunnels are: those of trusted node accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """How long streams and stalled writes live; all times in seconds."""

    drain_seconds: float = 10.0
    max_connection_age_seconds: float = 1800.0
    write_timeout_seconds: float = 60.0
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0
    max_receive_bytes: int = 64 << 20
    max_streams: int = 10_000
    max_streams_per_caller: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings:
    """Who is believed, who may ask for others, and what is issued; all times in seconds."""

    certs: Path = Path("certs")
    trusted_node_accounts: frozenset[str] = frozenset({"istio-system/ztunnel"})
    """``namespace/name`` of service accounts that may ask for the identities their node carries."""
    agent_accounts: frozenset[str] = frozenset({"istio-system/offmesh-agent"})
    """``namespace/name`` of service accounts that are told the datapath of their node."""
    token_audience: str = "istio-ca"  # noqa: S105 - no secret
    client_certificates: bool = True
    """Whether clients of the secure port may also prove themselves by a certificate of the mesh."""
    tls_sans: tuple[str, ...] = ()
    """Further names and IP addresses of the secure port's own certificate."""
    default_ttl_seconds: int = 86_400
    max_ttl_seconds: int = 86_400
    clock_skew_seconds: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAccess:
    """A way to a Kubernetes API server; an empty kubeconfig is this pod's own account, or the user's file."""

    kubeconfig: str = ""
    context: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """The Kubernetes API a server works with; all times in seconds."""

    access: ClusterAccess = field(default_factory=ClusterAccess)
    dpu_access: ClusterAccess | None = None
    """The cluster of the DPU nodes, where that is another."""
    istio_resources: bool = True
    """Whether there are rights to read those of Istio and of the Gateway API."""
    namespace: str = "istio-system"
    """The server's own."""
    replica: str = ""
    """The name of this replica among the others."""
    placement: tuple[str, str] | None = None
    """Namespace and name of the ConfigMap with the placement map; None reads a file."""
    ca_secrets: tuple[str, ...] = ("cacerts", "istio-ca-secret")
    """Secrets that may hold the certificate authority; none of them reads a folder."""
    root_config_maps: bool = True
    """Whether every namespace is given the roots to trust."""
    pair_reports: bool = True
    """Whether Nodes are told, by a condition and Events, how their pairs are."""
    leader_lease: str = "offmesh-leader"
    lease_namespace: str = ""
    """Where agents on DPU nodes renew their Leases."""
    check_seconds: float = 600.0
    """Between comparisons of what is held with what the API server has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Everything ``offmesh serve`` is told."""

    manifests: tuple[Path, ...]
    """Where objects come from; with none, they come from the cluster."""
    cluster_conf: Path
    secure_grpc_address: str = ":15012"
    grpc_address: str = "127.0.0.1:15010"
    http_address: str = "127.0.0.1:15014"
    health_address: str = ":8080"
    ready_file: Path | None = None
    mesh: MeshSettings = field(default_factory=MeshSettings)
    datapath: DatapathSettings = field(default_factory=DatapathSettings)
    identity: IdentitySettings = field(default_factory=IdentitySettings)
    streams: StreamSettings = field(default_factory=StreamSettings)
    cluster: ClusterSettings | None = None
    """None where no Kubernetes API is asked anything."""
    http_hosts: tuple[str, ...] = ()
    """Further names by which the debug HTTP may be asked."""
