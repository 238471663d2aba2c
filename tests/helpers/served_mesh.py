"""A whole server without sources and ports: what the debug views read, fed by the test."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from google.rpc.status_pb2 import Status
from msgspec.structs import replace

from tests.helpers.objects import objects, put
from tests.helpers.tokens import ScriptedCluster
from xds_server.catalog.catalog import Catalog
from xds_server.catalog.resource import ADDRESS
from xds_server.debug.readiness import Readiness
from xds_server.debug.served import Served
from xds_server.exceptions import Problem
from xds_server.identity.parts import IdentityParts
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.kubernetes import Pod
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from xds_server.sessions.clients import Client, Clients
from xds_server.sessions.delta import DeltaSession
from xds_server.settings import IdentitySettings, MeshSettings, ServeSettings, StreamSettings
from xds_server.sources.problems import Problems
from xds_server.transport.admission import Admission

LOADED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class MapState:
    """A placement map as its source tells of it."""

    path: Path = Path("/etc/offmesh/cluster-conf.yaml")
    loaded_at: datetime = LOADED_AT
    digest: str = "0123456789abcdef"
    reloads: int = 2
    failed_reloads: int = 1
    failure: tuple[Problem, ...] = ()


@dataclass
class MapSource:
    state: MapState | None = None


@dataclass(frozen=True)
class Objects:
    """Manifests as their source tells of them."""

    files: Mapping[str, int] = field(default_factory=lambda: {"mesh.yaml": 5})
    ignored: Mapping[str, int] = field(default_factory=lambda: {"ConfigMap": 3})


class ServedMesh:
    """A mesh that is derived, catalogued and told of; ``served`` is what the views are given."""

    def __init__(
        self,
        catalog: Catalog | None = None,
        clients: Clients | None = None,
        stall_seconds: float = 0.5,
        *,
        two_clusters: bool = False,
    ) -> None:
        self.registry = new_registry()
        self.catalog = catalog or Catalog()
        self.clients = clients or Clients()
        self.problems = Problems()
        self.readiness = Readiness()
        self.placement = MapSource()
        mesh = Mesh(self.registry, MeshSettings(), two_clusters=two_clusters)
        for addresses in mesh.addresses:
            mesh.graph.listen(addresses, self.catalog.stage_addresses)
        for policies in mesh.authorizations:
            mesh.graph.listen(policies, self.catalog.stage_authorizations)
        self.served = Served(
            settings=ServeSettings(
                manifests=(),
                cluster_conf=Path("cluster-conf.yaml"),
                streams=StreamSettings(write_timeout_seconds=stall_seconds),
            ),
            registry=self.registry,
            mesh=mesh,
            catalog=self.catalog,
            clients=self.clients,
            problems=self.problems,
            objects=Objects(),
            placement=self.placement,
            readiness=self.readiness,
            admission=Admission(),
            identity=None,
            started_at=1_700_000_000.0,
        )

    def give_identity(self, certs: Path) -> IdentityParts:
        """Serve identities too, with an authority in ``certs`` that is not loaded yet."""
        settings = dataclasses.replace(self.served.settings, identity=IdentitySettings(certs=certs))
        clusters = [ScriptedCluster(), ScriptedCluster()] if self.served.mesh.two_clusters else []
        parts = IdentityParts(settings, self.served.mesh, None, *clusters)
        self.served = dataclasses.replace(self.served, settings=settings, identity=parts)
        return parts

    def put(self, *texts: str) -> None:
        """Take Kubernetes objects as YAML and publish what follows from them."""
        for text in texts:
            put(self.registry, text)
        self.catalog.publish()

    def put_pods(self, count: int) -> None:
        """Publish pods ``pod-00000`` and so on, all alike but for name and address."""
        ((_, model),) = objects(pod("model", "10.0.0.0"))
        assert isinstance(model, Pod)
        with self.registry.graph.transaction():
            for number in range(count):
                metadata = replace(model.metadata, name=f"pod-{number:05}")
                status = replace(model.status, pod_ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
                row = replace(model, metadata=metadata, status=status)
                self.registry.of(Pod).set(f"shop/{row.name}", row)
        self.catalog.publish()

    def place(self, *entries: Pair | Single) -> None:
        """Put a placement map in force."""
        with self.registry.graph.transaction():
            for entry in entries:
                if isinstance(entry, Pair):
                    self.registry.of(Pair).set(entry.cpu_node_ip, entry)
                else:
                    self.registry.of(Single).set(entry.node_ip, entry)
        self.placement.state = MapState()
        self.catalog.publish()

    def connect(
        self, pod_name: str = "ztunnel-a", node: str = "dpu-a", now: float = 1_000.0
    ) -> "DeltaStream":
        return DeltaStream(self, pod_name, node, now)


class DeltaStream:
    """One client of the delta variant, without a connection."""

    def __init__(self, mesh: ServedMesh, pod_name: str, node: str, now: float) -> None:
        self.session = DeltaSession(mesh.catalog)
        self.client: Client = mesh.clients.connect(self.session, "delta", "ipv4:192.0.2.1:4000", now)
        self._node = Node(id=f"ztunnel~10.0.0.9~{pod_name}.istio-system~istio-system.svc.cluster.local")
        self._node.metadata.fields["NODE_NAME"].string_value = node

    def subscribe(self, *names: str, type_url: str = ADDRESS, now: float = 1_001.0) -> None:
        """Ask for names, or for everything, and take what is due."""
        request = DeltaDiscoveryRequest(node=self._node, type_url=type_url, resource_names_subscribe=names)
        self.session.receive_request(request, now)
        self.receive(now)

    def receive(self, now: float = 1_002.0) -> None:
        while self.session.next_response(now) is not None:
            pass

    def answer(self, rejection: str | None = None, type_url: str = ADDRESS, now: float = 1_003.0) -> None:
        """Acknowledge the last response, or reject it."""
        nonce = self.session.subscriptions[type_url].acknowledgements.sent_nonce
        status = Status(message=rejection) if rejection is not None else None
        request = DeltaDiscoveryRequest(type_url=type_url, response_nonce=nonce, error_detail=status)
        self.session.receive_request(request, now)


def pod(name: str, ip: str, node: str = "cpu-a", namespace: str = "shop", app: str = "web") -> str:
    return (
        f"{{kind: Pod, metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}, "
        f"spec: {{nodeName: {node}, serviceAccountName: web}}, status: {{podIP: {ip}, phase: Running, "
        f"conditions: [{{type: Ready, status: 'True'}}]}}}}"
    )


def service(name: str, ip: str, namespace: str = "shop") -> str:
    return (
        f"{{kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, "
        f"spec: {{clusterIP: {ip}, selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}}}"
    )


def node(name: str, ip: str, labels: str = "{}") -> str:
    return (
        f"{{kind: Node, metadata: {{name: {name}, labels: {labels}}}, "
        f"status: {{addresses: [{{type: InternalIP, address: {ip}}}]}}}}"
    )


def shop() -> ServedMesh:
    """
    Make the mesh of the examples: two workloads on a CPU node, one on a plain node, two services.

    CPU node ``cpu-a`` has DPU node ``dpu-a``; ``plain`` has none; ``spare`` is in no role.
    """
    mesh = ServedMesh()
    mesh.put(
        node("cpu-a", "192.0.2.10"),
        node("dpu-a", "192.0.2.11"),
        node("plain", "192.0.2.12"),
        node("spare", "192.0.2.13", "{offMeshNodeType: dpu}"),
    )
    mesh.place(Pair("192.0.2.10", "192.0.2.11"), Single("192.0.2.12"))
    mesh.put(
        service("web", "10.96.0.1"),
        service("db", "10.96.0.2", "store"),
        pod("web-1", "10.0.0.1"),
        pod("web-2", "10.0.0.2", node="plain"),
        pod("db-1", "10.0.0.3", namespace="store", app="db"),
    )
    mesh.readiness.have("start")
    return mesh
