"""The lab as a control plane is told of it: Kubernetes objects, and the placement map."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.helpers.lab.topology import Node, Pod, Topology
from xds_server.datapath.inputs import Role

SHOP, SYSTEM = "shop", "istio-system"


class Manifests:
    """A folder of manifests that a running server watches, and a map beside it."""

    def __init__(self, folder: Path, topology: Topology) -> None:
        self.objects = folder / "mesh"
        self.map = folder / "cluster-conf.yaml"
        self.objects.mkdir(parents=True)
        self.pair(topology)
        namespace = {"metadata": {"name": SHOP, "labels": {"istio.io/dataplane-mode": "ambient"}}}
        self._write("shop", {"kind": "Namespace", **namespace})
        for node in topology.nodes:
            self._write(node.name, _node(node))
        ztunnels = {node.ztunnel for node in topology.nodes}
        for pod in topology.pods:
            if pod.name in ztunnels:
                self.run_ztunnel(pod)
            else:
                self.mesh(pod, meshed=pod.meshed)

    def pair(self, topology: Topology) -> None:
        """Write the map."""
        pairs = [
            {"cpuNodeIP": str(node.address), "dpuNodeIP": str(topology.node(node.peer).address)}
            for node in topology.nodes
            if node.role is Role.CPU
        ]
        singles = [{"nodeIP": str(node.address)} for node in topology.nodes if node.role is Role.SINGLE]
        _replace(self.map, json.dumps({"pairs": pairs, "singles": singles}))

    def mesh(self, pod: Pod, *, meshed: bool, uid: str = "") -> None:
        """Tell of a pod; its own label decides whether it is meshed."""
        labels = {"istio.io/dataplane-mode": "ambient" if meshed else "none"}
        self._write(pod.name, _pod(pod, SHOP, labels, uid))

    def run_ztunnel(self, pod: Pod, *, ready: bool = True) -> None:
        self._write(pod.name, _pod(pod, SYSTEM, {"app": "ztunnel"}, ready=ready))

    def remove(self, pod: Pod) -> None:
        (self.objects / f"{pod.name}.yaml").unlink()

    def tell(self, pods: Iterable[Pod], *, meshed: bool) -> None:
        for pod in pods:
            self.mesh(pod, meshed=meshed)

    def _write(self, name: str, content: Any) -> None:
        _replace(self.objects / f"{name}.yaml", json.dumps({"apiVersion": "v1", **content}))


def _node(node: Node) -> Any:
    return {
        "kind": "Node",
        "metadata": {"name": node.name},
        "spec": {"podCIDR": str(node.pods)},
        "status": {"addresses": [{"type": "InternalIP", "address": str(node.address)}]},
    }


def _pod(pod: Pod, namespace: str, labels: dict[str, str], uid: str = "", *, ready: bool = True) -> Any:
    meta = {"name": pod.name, "namespace": namespace, "uid": uid or f"uid-of-{pod.name}", "labels": labels}
    condition = {"type": "Ready", "status": str(ready)}
    status = {"phase": "Running", "podIP": str(pod.address), "conditions": [condition]}
    return {"kind": "Pod", "metadata": meta, "spec": {"nodeName": pod.node}, "status": status}


def _replace(path: Path, text: str) -> None:
    written = path.with_suffix(".new")
    written.write_text(text)
    written.replace(path)
