"""
The whole mesh on one page: which collection is derived from which.

    namespaces ─┬─> network labels ──────────────┐
                └─> namespace defaults ──┐       │
    services ───┬─> service targets ─────┼───────┼──┐
                └─> services (Address) <─┘ <─────┤  │
    slices ─────┬─> bound pods ──────────────────┼──┤
                └─> endpoint workloads (Address) <┘ <┤
    nodes ──────┬─> node identities ──┐             │
                └─> localities ───────┼──┐          │
    DPU nodes ────> node identities ──┤  │          │   (where they are in a second cluster)
    pairs ────────> placed pairs <────┘  │          │
    pods ─────────> pod workloads (Address) <───────┘

Collections are made in this order, which the transaction follows.
"""

from collections.abc import Iterator
from typing import cast

from xds_server.mesh.address import Address
from xds_server.mesh.endpoints import Endpoints
from xds_server.mesh.identities import Identities
from xds_server.mesh.networks import Networks
from xds_server.mesh.placement import Placement
from xds_server.mesh.services import Services
from xds_server.mesh.workloads import Surroundings, Workloads
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.kubernetes import (
    DPU_KINDS,
    KINDS,
    DpuNode,
    DpuPod,
    EndpointSlice,
    Namespace,
    Node,
    Pod,
    Service,
)
from xds_server.objects.liveness import NodeDown, ProgramHeld
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Source
from xds_server.store.derive import Derivation
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry


def new_registry() -> Registry:
    """Make an empty graph with a source for every kind the mesh reads."""
    return Registry(Graph(), (*KINDS.values(), *DPU_KINDS, Pair, Single, NodeDown, ProgramHeld))


class Mesh:
    """The derived collections, made on the sources of a registry."""

    def __init__(self, registry: Registry, settings: MeshSettings, *, two_clusters: bool = False) -> None:
        """Derive a mesh whose DPU nodes are in a second cluster if there are ``two_clusters``."""
        graph = registry.graph
        self.graph = graph
        self.two_clusters = two_clusters
        # Nobody here writes to them, so rows of a subtype are as good.
        dpu_nodes = cast("Source[Node]", registry.of(DpuNode))
        self.dpu_pods = cast("Source[Pod]", registry.of(DpuPod))
        if not two_clusters:
            dpu_nodes.synced = self.dpu_pods.synced = True
        nodes = registry.of(Node)
        namespaces = registry.of(Namespace)
        networks = Networks(graph, namespaces, settings)
        services = Services(graph, registry.of(Service), namespaces, networks)
        endpoints = Endpoints(graph, registry.of(EndpointSlice), services, networks)
        self.placement = Placement(
            graph, registry.of(Pair), registry.of(Single), nodes, dpu_nodes if two_clusters else None
        )
        self.pods = registry.of(Pod)
        self.identities = Identities(self.pods, self.dpu_pods, self.placement)
        around = Surroundings(self.placement, services, endpoints, registry.of(NodeDown))
        workloads = Workloads(graph, registry.of(Pod), nodes, around)
        self.addresses: tuple[Collection[Address], ...] = (
            services.addresses,
            endpoints.addresses,
            workloads.addresses,
        )

    def problems(self) -> Iterator[tuple[str, str, str]]:
        """Yield what could not be derived: collection, input key, reason."""
        for collection in self.graph.collections:
            if isinstance(collection, Derivation):
                for key, reason in sorted(collection.problems.items()):
                    yield collection.name, key, reason
