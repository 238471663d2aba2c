"""Where a server's objects come from, by its settings."""

from pathlib import Path

from xds_server.app.inputs import Inputs
from xds_server.mesh.graph import new_registry
from xds_server.settings import ClusterAccess, ClusterSettings, MeshSettings, ServeSettings
from xds_server.sources.kubernetes.kinds import istio_kinds, mesh_kinds
from xds_server.sources.problems import Problems

CORE = {kind.name for kind in mesh_kinds()} | {"Lease"}
ISTIO = {kind.name for kind in istio_kinds("istio-system", "istio")}


async def watched(folder: Path, *, istio_resources: bool) -> tuple[set[str], set[str]]:
    """Return the kinds that are watched, and those that count as known without."""
    access = ClusterAccess(kubeconfig=str(folder / "kubeconfig"))
    cluster = ClusterSettings(access=access, istio_resources=istio_resources)
    conf = folder / "cluster-conf.yaml"
    mesh = MeshSettings(root_namespace="root", revision="canary")
    settings = ServeSettings(manifests=(), cluster_conf=conf, cluster=cluster, mesh=mesh)
    registry = new_registry()
    inputs = Inputs(settings, registry, Problems())
    await inputs.close()
    assert inputs.watches is not None
    paths = [one.kind.path("v1") for one in inputs.watches.reflectors if one.kind.name == "MeshConfigMap"]
    assert paths == ["/api/v1/namespaces/root/configmaps"] * istio_resources
    known = {source.name for source in registry if source.synced}
    return {one.kind.name for one in inputs.watches.reflectors}, known


async def test_all_that_istio_adds_is_watched(tmp_path: Path) -> None:
    names, known = await watched(tmp_path, istio_resources=True)
    assert names == CORE | ISTIO
    assert not known & ISTIO


async def test_without_the_rights_to_it_nothing_of_istio_is_watched_or_waited_for(tmp_path: Path) -> None:
    names, known = await watched(tmp_path, istio_resources=False)
    assert names == CORE
    assert known >= ISTIO
