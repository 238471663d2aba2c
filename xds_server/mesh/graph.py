"""
The whole mesh on one page: which collection is derived from which.

    mesh's ConfigMap ──> settings ──┬─> discovery: narrows every kind below to namespaces and revision
    namespaces ────> labels, ───────┘
        waypoints, load balancing, network ────────────────────┐ (of a namespace, for all in it)
    gateways ──────> waypoints, network gateways (Address) ────┤
    policies ──────> policies (Authorization), by selector ────┤
    services ──────┬─> services (Address) <────────────────────┤
                   └─> targets ────────────┬─> targets ────────┤
    service  ──> published ──> claims ──> ─┤                   │
      entries                    ├─> services (Address) <──────┤
                                 └─> endpoints (Address) <─────┤
    workload entries ──────────────> workloads (Address) <─────┤
    slices ────────┬─> endpoint workloads (Address)            │
                   └─> bound pods ─────────────────────────────┤
    nodes, pairs ──> placed pairs, localities ─────────────────┤
    pods ──────────> pod workloads (Address) <─────────────────┘

Collections are made in this order, which the transaction follows.
"""

from collections.abc import Iterator
from typing import TypeVar, cast

from xds_server.mesh.address import Address
from xds_server.mesh.discovery import Discovery
from xds_server.mesh.endpoints import Endpoints
from xds_server.mesh.identities import Identities
from xds_server.mesh.load_balancing import LoadBalancings
from xds_server.mesh.membership import Membership, PodMembership
from xds_server.mesh.mesh_config import MeshConfigs
from xds_server.mesh.networks import Networks
from xds_server.mesh.placement import Placement
from xds_server.mesh.policies.policies import Policies
from xds_server.mesh.service_entries import EntrySurroundings, ServiceEntries
from xds_server.mesh.service_entry_endpoints import ServiceEntryEndpoints
from xds_server.mesh.services import Services
from xds_server.mesh.targets import Targets
from xds_server.mesh.waypoint_allowances import WaypointAllowances
from xds_server.mesh.waypoints.bindings import Waypoints, WaypointSources
from xds_server.mesh.workload_entries import WorkloadEntries
from xds_server.mesh.workloads import Surroundings, Workloads
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.gateway_api import Gateway, GatewayClass
from xds_server.objects.kinds import KINDS
from xds_server.objects.kubernetes import (
    DPU_KINDS,
    DpuNode,
    DpuPod,
    EndpointSlice,
    KubernetesObject,
    MeshConfigMap,
    Namespace,
    Node,
    Pod,
    Service,
)
from xds_server.objects.liveness import NodeDown, ProgramHeld
from xds_server.objects.networking import ServiceEntry, WorkloadEntry
from xds_server.objects.policies import AuthorizationPolicy, PeerAuthentication
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Source
from xds_server.store.derive import Derivation
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry

K = TypeVar("K", bound=KubernetesObject)


def new_registry() -> Registry:
    """Make an empty graph with a source for every kind the mesh reads."""
    return Registry(Graph(), (*KINDS.values(), *DPU_KINDS, Pair, Single, NodeDown, ProgramHeld))


class Mesh:
    """The derived collections, made on the sources of a registry."""

    def __init__(self, registry: Registry, settings: MeshSettings, *, two_clusters: bool = False) -> None:
        """Derive a mesh whose DPU nodes are in a second cluster if there are ``two_clusters``."""
        self.graph = registry.graph
        self.two_clusters = two_clusters
        self._registry = registry
        self._settings = settings
        self._configs = MeshConfigs(self.graph, registry.of(MeshConfigMap), registry.of(Namespace), settings)
        self._discovery = Discovery(self.graph, self._configs, settings)
        self.pods = self._discovered(Pod)
        self._make_placement()
        self.identities = Identities(self.pods, self.dpu_pods, self.placement)
        self.addresses: tuple[Collection[Address], ...] = self._addresses()

    def _make_placement(self) -> None:
        """Make what tells where pods are served, from nodes of one cluster or two."""
        registry = self._registry
        # Nobody here writes to them, so rows of a subtype are as good.
        dpu_nodes = cast("Source[Node]", registry.of(DpuNode))
        self.dpu_pods = cast("Source[Pod]", registry.of(DpuPod))
        if not self.two_clusters:
            dpu_nodes.synced = self.dpu_pods.synced = True
        self.placement = Placement(
            self.graph,
            registry.of(Pair),
            registry.of(Single),
            registry.of(Node),
            dpu_nodes if self.two_clusters else None,
        )

    def _addresses(self) -> tuple[Collection[Address], ...]:
        graph, registry = self.graph, self._registry
        namespaces = registry.of(Namespace)
        gateways = self._discovered(Gateway)
        networks = Networks(graph, namespaces, gateways, self._settings)
        waypoints = Waypoints(
            graph, WaypointSources(gateways, registry.of(GatewayClass), namespaces, self.pods), networks
        )
        self.policies = Policies(
            graph,
            self._discovery.of_revision(registry.of(AuthorizationPolicy)),
            self._discovery.of_revision(registry.of(PeerAuthentication)),
            self._settings,
        )
        balancings = LoadBalancings(graph, namespaces)
        services = Services(graph, self._discovered(Service), networks, waypoints, balancings)
        entries = ServiceEntries(
            graph,
            self._discovery.of_revision(registry.of(ServiceEntry)),
            EntrySurroundings(services, self._configs, networks, waypoints, balancings),
        )
        targets = Targets(graph, services.targets, entries.targets)
        allowances = None
        if self._settings.waypoint_policies:
            domain = self._settings.trust_domain
            allowances = WaypointAllowances(graph, waypoints, services, entries, domain)
        self.authorizations = (
            *self.policies.authorizations,
            *((allowances.authorizations,) if allowances is not None else ()),
        )
        membership = Membership(networks, targets, waypoints, self.policies, allowances)
        return (
            networks.addresses,
            services.addresses,
            entries.addresses,
            *self._workloads(membership, services, entries),
        )

    def _workloads(
        self, membership: Membership, services: Services, entries: ServiceEntries
    ) -> tuple[Collection[Address], ...]:
        graph, registry = self.graph, self._registry
        endpoints = Endpoints(graph, self._discovered(EndpointSlice), services, membership.networks)
        by_labels = PodMembership(graph, self.pods, membership)
        around = Surroundings(
            self.placement, membership, by_labels, services, endpoints, registry.of(NodeDown)
        )
        stated = self._discovery.of_revision(registry.of(WorkloadEntry))
        return (
            ServiceEntryEndpoints(graph, entries, membership).addresses,
            WorkloadEntries(graph, stated, membership).addresses,
            endpoints.addresses,
            Workloads(graph, self.pods, registry.of(Node), around).addresses,
        )

    def _discovered(self, kind: type[K]) -> Collection[K]:
        return self._discovery.of(self._registry.of(kind))

    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Yield what could not be derived: collection, input key, reason."""
        for collection in self.graph.collections:
            if isinstance(collection, Derivation):
                for key, reason in sorted(collection.problems.items()):
                    yield collection.name, key, reason
