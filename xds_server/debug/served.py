"""The parts of a running server that the views read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from xds_server.catalog.catalog import Catalog
from xds_server.debug.readiness import Readiness
from xds_server.exceptions import Problem
from xds_server.identity.parts import IdentityParts
from xds_server.liveness.watch import Liveness
from xds_server.mesh.graph import Mesh
from xds_server.sessions.clients import Clients
from xds_server.settings import ServeSettings
from xds_server.sources.kubernetes.source import KubernetesSource
from xds_server.sources.problems import Problems
from xds_server.store.registry import Registry


class LoadedMap(Protocol):
    """What is told of the placement map in force."""

    @property
    def path(self) -> object: ...
    @property
    def loaded_at(self) -> datetime: ...
    @property
    def digest(self) -> str: ...
    @property
    def reloads(self) -> int: ...
    @property
    def failed_reloads(self) -> int: ...
    @property
    def failure(self) -> tuple[Problem, ...]: ...


class PlacementSource(Protocol):
    @property
    def state(self) -> LoadedMap | None: ...


class ObjectSource(Protocol):
    """What is told of the manifests: objects by file, and kinds passed over."""

    @property
    def files(self) -> Mapping[str, int]: ...
    @property
    def ignored(self) -> Mapping[str, int]: ...


class Candidacy(Protocol):
    """What is told of this replica among the others."""

    @property
    def leading(self) -> bool: ...
    @property
    def leader(self) -> str: ...
    @property
    def transitions(self) -> int: ...


class Admission(Protocol):
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    settings: ServeSettings
    registry: Registry
    mesh: Mesh
    catalog: Catalog
    clients: Clients
    problems: Problems
    objects: ObjectSource
    placement: PlacementSource
    readiness: Readiness
    admission: Admission
    identity: IdentityParts | None
    """None where the secure port is off."""
    started_at: float
    """Seconds since the epoch."""
    liveness: Liveness | None = None
    """None where no Leases of agents are followed."""
    watches: KubernetesSource | None = None
    """None where objects do not come from a cluster."""
    election: Candidacy | None = None
    """None where there is nothing that only one replica may do."""
