"""
Trust domain and root namespace, where no flag says them: as Istio's ConfigMap does when a server starts.

They go into every identity and into what every policy is for, so they stay what they are until the
server starts again; a ConfigMap that comes to say another is told.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import replace

from xds_server.cluster.backoff import Backoff
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.outage import Outage
from xds_server.debug.readiness import Readiness
from xds_server.exceptions import ClusterError, InputError, Problem
from xds_server.mesh.mesh_config import config_map_key, config_map_name, names_said, with_names
from xds_server.objects.kubernetes import KubernetesObject, MeshConfigMap
from xds_server.objects.mesh_config import MESH_NAMES
from xds_server.settings import ClusterSettings, MeshSettings, ServeSettings
from xds_server.sources.kubernetes.kinds import WatchedKind, mesh_config_map
from xds_server.sources.kubernetes.reading import Reading, ReadTiming
from xds_server.sources.manifests.first_look import find_config_map
from xds_server.sources.problems import Problems
from xds_server.store.collection import Change
from xds_server.store.registry import Registry

log = logging.getLogger(__name__)


async def with_mesh_names(settings: ServeSettings, readiness: Readiness) -> ServeSettings:
    """
    Return settings in which the names of the mesh are final; an API server that is away is waited for.

    Raises:
        InputError: the ConfigMap cannot be used, and no flags take its place.

    """
    mesh = settings.mesh
    if not mesh.unsaid:
        return settings
    key = config_map_key(mesh)
    if settings.manifests:
        found = await asyncio.to_thread(find_config_map, settings.manifests, key)
    elif settings.cluster is not None and settings.cluster.istio_resources:
        found = await _from_cluster(settings.cluster, mesh, readiness)
    else:
        return settings
    named = with_names(mesh, found)
    if found is not None:
        log.info("the mesh is named by ConfigMap %s: %s", key, _names(named))
    return replace(settings, mesh=named)


async def _from_cluster(
    cluster: ClusterSettings, mesh: MeshSettings, readiness: Readiness
) -> MeshConfigMap | None:
    kind = mesh_config_map(mesh.istio_namespace, config_map_name(mesh.revision))
    where = f"ConfigMap {config_map_key(mesh)}"
    connection = ApiConnection(cluster.access.kubeconfig, cluster.access.context)
    backoff, outage = Backoff(random.random), Outage(log, f"reading {where}")
    try:
        while True:
            try:
                found = await _read(connection, kind)
            except ClusterError as error:
                readiness.need("names", f"{where} is not read: {error}")
                outage.begin(str(error))
                await asyncio.sleep(backoff.after(error))
            else:
                outage.end()
                return found
    finally:
        readiness.have("names")
        await connection.close()


async def _read(connection: ApiConnection, kind: WatchedKind) -> MeshConfigMap | None:
    """
    Read the one object of a kind; None where there is none.

    Raises:
        InputError: it cannot be used.
        ClusterError: the API server refused or is away.

    """
    found: KubernetesObject | None = None
    async for page in Reading(connection, kind, ReadTiming(), random.random).pages():
        for problem in page.problems.values():
            raise InputError(str(problem))
        for row in page.rows:
            found = row.item
    return found if isinstance(found, MeshConfigMap) else None


class NamesInForce:
    """Tells, in the log and beside the inputs that cannot be used, that only a restart takes other names."""

    def __init__(self, settings: MeshSettings, registry: Registry, problems: Problems) -> None:
        self._settings = settings
        self._problems = problems
        self._key = config_map_key(settings)
        if settings.unsaid:
            registry.graph.listen(registry.of(MeshConfigMap), self._compare)

    def _compare(self, changes: Mapping[str, Change[MeshConfigMap]]) -> None:
        if self._key not in changes:
            return
        place = f"ConfigMap {self._key}"
        for fresh in self._problems.replace(place, self._differences(place, changes[self._key].new)):
            log.warning("%s", fresh)

    def _differences(self, place: str, config_map: MeshConfigMap | None) -> list[Problem]:
        try:
            said = names_said(self._settings, config_map)
        except InputError as error:
            return [Problem(place, f"{error}; a server that starts now refuses it", "", "")]
        expected = "with which this server has started: restart it to use another"
        return [
            Problem(place, f"mesh.{MESH_NAMES[name].field}", repr(said[name]), f"{in_force!r}, {expected}")
            for name in self._settings.unsaid
            if said[name] != (in_force := getattr(self._settings, name))
        ]


def _names(mesh: MeshSettings) -> str:
    return ", ".join(f"{MESH_NAMES[name].field} {getattr(mesh, name)}" for name in mesh.unsaid)
