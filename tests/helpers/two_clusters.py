"""A mesh whose DPU nodes are in a second cluster, fed with YAML for either."""

from collections.abc import Iterable

from msgspec.structs import asdict

from tests.helpers.mesh import MeshUnderTest
from tests.helpers.objects import objects
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.objects.kubernetes import DpuNode, DpuPod, KubernetesObject, Node, Pod
from xds_server.store.registry import Registry

DPU_TYPES: dict[type[KubernetesObject], type[DpuNode] | type[DpuPod]] = {Node: DpuNode, Pod: DpuPod}


class TwoClusters(MeshUnderTest):
    """``texts`` are of the first cluster, ``dpu`` of the DPU nodes'."""

    def __init__(self, *texts: str, dpu: Iterable[str] = ()) -> None:
        super().__init__(*texts, two_clusters=True)
        for text in dpu:
            put_dpu(self.registry, text)

    def place(self, *entries: Pair | Single) -> None:
        """Make these the whole map."""
        place(self.registry, *entries)


def put_dpu(registry: Registry, text: str) -> None:
    """Add or replace Nodes and Pods of the DPU cluster."""
    with registry.graph.transaction():
        for key, item in objects(text):
            kind = DPU_TYPES[type(item)]
            registry.of(kind).set(key, kind(**asdict(item)))


def place(registry: Registry, *entries: Pair | Single) -> None:
    pairs = {entry.cpu_node_ip: entry for entry in entries if isinstance(entry, Pair)}
    singles = {entry.node_ip: entry for entry in entries if isinstance(entry, Single)}
    with registry.graph.transaction():
        for kind, rows in ((Pair, pairs), (Single, singles)):
            source = registry.of(kind)
            for gone in [key for key in source if key not in rows]:
                source.delete(gone)
            for key, row in rows.items():
                source.set(key, row)


def pod(key: str, node: str = "", account: str = "", **more: str) -> str:
    """Write a pod ``namespace/name``; ``uid``, ``phase`` and ``ip`` may be told."""
    namespace, _, name = key.partition("/")
    address = f", podIP: {more['ip']}" if "ip" in more else ""
    return (
        f"{{kind: Pod, metadata: {{name: {name}, namespace: {namespace}, uid: {more.get('uid', '')!r}}}, "
        f"spec: {{nodeName: '{node}', serviceAccountName: '{account}'}}, "
        f"status: {{phase: {more.get('phase', 'Running')}{address}}}}}"
    )


def node(name: str, ip: str, label: str = "") -> str:
    labels = f", labels: {{offMeshNodeType: {label}}}" if label else ""
    address = f"{{type: InternalIP, address: '{ip}'}}"
    return f"{{kind: Node, metadata: {{name: {name}{labels}}}, status: {{addresses: [{address}]}}}}"
