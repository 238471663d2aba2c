"""Discovery: which objects the mesh sees at all, by namespace and revision (facts wds, 0.2 and 6)."""

from typing import TypeVar

from xds_server.mesh.mesh_config import MeshConfigs
from xds_server.objects.kubernetes import KubernetesObject
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.gated import Gated, Gates
from xds_server.store.graph import Graph

REVISION_LABEL = "istio.io/rev"

K = TypeVar("K", bound=KubernetesObject)


class Discovery:
    """Narrows collections to discovered namespaces: all of them where no selector is set."""

    def __init__(self, graph: Graph, configs: MeshConfigs, settings: MeshSettings) -> None:
        self._graph = graph
        self._configs = configs
        self._revision = settings.revision
        self._discovered: Collection[bool] = Mapped(
            graph, "discovered namespaces", configs.namespace_labels, self._is_selected
        )
        self._gates = Gates(self.sees, self._discovered, configs.discovery_selectors)

    def sees(self, namespace: str) -> bool:
        return not self._configs.discovery_selectors.rows or namespace in self._discovered.rows

    def of(self, source: Collection[K]) -> Collection[K]:
        """Return the objects of discovered namespaces."""
        return Gated(self._graph, f"discovered {source.name}", source, self._gates)

    def of_revision(self, source: Collection[K]) -> Collection[K]:
        """Return those of them that are meant for this revision, or for any."""
        return Gated(self._graph, f"discovered {source.name}", source, self._gates, self._is_ours)

    def _is_ours(self, item: K) -> bool:
        wanted = item.labels.get(REVISION_LABEL)
        return wanted is None or self._revision in ("", wanted)

    def _is_selected(self, fetch: Fetch, _key: str, labels: dict[str, str]) -> bool | None:
        """None where there are no selectors: then nothing depends on namespaces."""
        selectors = fetch.one(self._configs.discovery_selectors, self._configs.key) or ()
        return any(selector.matches(labels) for selector in selectors) or None
