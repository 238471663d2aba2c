"""Networks: which network the cluster's own workloads and services are on (facts wds, 0.1)."""

from xds_server.objects.kubernetes import Namespace
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Source
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

NETWORK_LABEL = "topology.istio.io/network"


class Networks:
    """The local network: a setting, else a label of the namespace the control plane runs in."""

    def __init__(self, graph: Graph, namespaces: Source[Namespace], settings: MeshSettings) -> None:
        self.settings = settings
        self._labels: Collection[str] = Mapped(graph, "network labels", namespaces, _network_label)

    def local(self, fetch: Fetch) -> str:
        if self.settings.network:
            return self.settings.network
        return fetch.one(self._labels, self.settings.root_namespace) or ""


def _network_label(_fetch: Fetch, _key: str, namespace: Namespace) -> str | None:
    return namespace.labels.get(NETWORK_LABEL)
