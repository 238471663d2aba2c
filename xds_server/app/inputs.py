"""Where a server's objects and its placement map come from, by its settings."""

from collections.abc import Mapping
from typing import Protocol

from xds_server.cluster.connection import ApiConnection
from xds_server.debug.served import PlacementSource
from xds_server.mesh.mesh_config import config_map_name
from xds_server.settings import ClusterAccess, ServeSettings
from xds_server.sources.kubernetes.kinds import (
    WatchedKind,
    agent_leases,
    dpu_kinds,
    istio_kinds,
    mesh_kinds,
)
from xds_server.sources.kubernetes.source import KubernetesSource, Watched
from xds_server.sources.manifests.source import ManifestSource, Progress
from xds_server.sources.placement.config_map import ConfigMapSource
from xds_server.sources.placement.source import ClusterConfSource
from xds_server.sources.problems import Problems
from xds_server.store.registry import Registry


class ObjectSource(Protocol):
    """Fills the registry: ``load`` once, then ``follow`` for ever."""

    @property
    def missing(self) -> str: ...
    @property
    def files(self) -> Mapping[str, int]: ...
    @property
    def ignored(self) -> Mapping[str, int]: ...
    async def load(self, progress: Progress) -> None: ...
    async def follow(self) -> None: ...


class MapSource(PlacementSource, Protocol):
    """Fills pairs and singles: ``load`` once, then ``follow`` for ever."""

    @property
    def missing(self) -> str: ...
    async def load(self) -> None: ...
    async def follow(self) -> None: ...


class Inputs:
    """The sources of one server, and the connections they use."""

    def __init__(self, settings: ServeSettings, registry: Registry, problems: Problems) -> None:
        cluster = settings.cluster
        self.connection = _connection(cluster.access) if cluster else None
        self.dpu_connection = _connection(cluster.dpu_access) if cluster and cluster.dpu_access else None
        self.objects: ObjectSource
        self.placement: MapSource
        self.watches: KubernetesSource | None = None
        """The source of the objects, where that is a cluster."""
        if cluster is None or self.connection is None or settings.manifests:
            self.objects = ManifestSource(settings.manifests, registry, problems)
        else:
            kinds = mesh_kinds(_istio_kinds(settings, registry))
            watched = [Watched(self.connection, kind) for kind in kinds]
            dpus = self.dpu_connection
            if dpus is not None:
                watched += [Watched(dpus, kind) for kind in dpu_kinds()]
            watched.append(Watched(dpus or self.connection, agent_leases(cluster.lease_namespace)))
            self.watches = KubernetesSource(watched, registry, problems, cluster.check_seconds)
            self.objects = self.watches
        if cluster is not None and cluster.placement is not None and self.connection is not None:
            self.placement = ConfigMapSource(self.connection, cluster.placement, registry, problems)
        else:
            self.placement = ClusterConfSource(settings.cluster_conf, registry, problems)

    async def close(self) -> None:
        for connection in (self.connection, self.dpu_connection):
            if connection is not None:
                await connection.close()


def _istio_kinds(settings: ServeSettings, registry: Registry) -> tuple[WatchedKind, ...]:
    mesh = settings.mesh
    kinds = istio_kinds(mesh.istio_namespace, config_map_name(mesh.revision))
    if settings.cluster is not None and settings.cluster.istio_resources:
        return kinds
    for kind in kinds:
        registry.of(kind.type).synced = True
    return ()


def _connection(access: ClusterAccess) -> ApiConnection:
    return ApiConnection(access.kubeconfig, access.context)
