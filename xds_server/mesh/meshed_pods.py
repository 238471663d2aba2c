"""
Which pods are in the mesh, as istio-cni decides for the nodes it is on (facts wds, 6).

A pod's own label decides before its namespace's; a pod with a sidecar, one in the host's network and
Kubernetes' and the mesh's own are never captured.
"""

import msgspec

from xds_server.mesh.address import parse_ip
from xds_server.mesh.identities import is_finished, uid_of
from xds_server.objects.kubernetes import Namespace, Pod
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

MODE_LABEL = "istio.io/dataplane-mode"
_AMBIENT = "ambient"
_NONE = "none"
_NEVER = ("kube-system",)


class MeshedPod(msgspec.Struct, frozen=True, gc=False):
    """A pod that is bound, has addresses and is to be captured."""

    uid: str
    node: str
    addresses: tuple[bytes, ...]


class MeshedPods:
    """The collection of them, by node."""

    def __init__(
        self,
        graph: Graph,
        pods: Collection[Pod],
        namespaces: Collection[Namespace],
        settings: MeshSettings,
    ) -> None:
        self._never = (*_NEVER, settings.istio_namespace)
        self._modes: Collection[str] = Mapped(graph, "dataplane modes", namespaces, _mode)
        self.pods: Collection[MeshedPod] = Mapped(graph, "meshed pods", pods, self._meshed)
        self.by_node = Index(self.pods, "node", _node)

    def _meshed(self, fetch: Fetch, _key: str, pod: Pod) -> MeshedPod | None:
        node = pod.spec.node_name
        if not node or is_finished(pod) or not self._is_wanted(fetch, pod):
            return None
        addresses = pod_addresses(pod)
        return MeshedPod(uid_of(pod), node, addresses) if addresses else None

    def _is_wanted(self, fetch: Fetch, pod: Pod) -> bool:
        if (
            pod.namespace in self._never
            or pod.spec.host_network
            or pod.annotations.sidecar_status is not None
        ):
            return False
        mode = pod.labels.get(MODE_LABEL)
        if mode is not None:
            # Whatever else a label says, a namespace's answer is for pods that do not opt out.
            return mode == _AMBIENT or (mode != "none" and self._namespace_wants(fetch, pod))
        return self._namespace_wants(fetch, pod)

    def _namespace_wants(self, fetch: Fetch, pod: Pod) -> bool:
        return fetch.one(self._modes, pod.namespace) == _AMBIENT


def pod_addresses(pod: Pod) -> tuple[bytes, ...]:
    """
    Return a pod's addresses in network order; none while it has none.

    Raises:
        InputError: one is no address.

    """
    texts = [item.ip for item in pod.status.pod_ips or ()] or [pod.status.pod_ip or ""]
    return tuple(parse_ip(text, "podIP").packed for text in texts if text)


def _mode(_fetch: Fetch, _key: str, namespace: Namespace) -> str | None:
    return namespace.labels.get(MODE_LABEL)


def _node(pod: MeshedPod) -> tuple[str, ...]:
    return (pod.node,)
