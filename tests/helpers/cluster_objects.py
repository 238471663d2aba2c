"""Kubernetes objects as the API takes them."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

_CRDS = Path(__file__).parents[1] / "cluster" / "crds"
_BEGIN = "2026-01-01T00:00:00Z"
_FIRST_ADDRESS = IPv4Address("10.0.0.1")


def crds() -> list[Object]:
    """Return the definitions of the custom resources that a mesh and its chart may use."""
    files = sorted(_CRDS.glob("*.yaml"))
    return [one for path in files for one in yaml.safe_load_all(path.read_text())]


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def node(name: str, ip: str, *, ready: bool = True, **labels: str) -> Object:
    conditions = [{"type": "Ready", "status": str(ready), "reason": "Test"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}], "conditions": conditions},
    }


def pod(
    key: str,
    node_name: str = "",
    ip: str = "",
    account: str = "default",
    labels: Mapping[str, str] | None = None,
) -> Object:
    """Make a running pod ``namespace/name``; one without an address has no status yet."""
    inside, _, name = key.partition("/")
    made: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": inside, "labels": dict(labels or {})},
        "spec": {"serviceAccountName": account, "containers": [{"name": "app", "image": "app"}]},
    }
    if node_name:
        made["spec"]["nodeName"] = node_name
    if ip:
        made["status"] = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
    return made


def service(key: str, ports: Sequence[int] = (80,), **selector: str) -> Object:
    inside, _, name = key.partition("/")
    spec = {"selector": selector, "ports": [{"port": port, "name": f"p{port}"} for port in ports]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": inside},
        "spec": spec,
    }


def endpoint_slice(key: str, service: str, ips: Sequence[str], ports: Sequence[int] = (80,)) -> Object:
    """Make the slice of a service, whose endpoints are of pods that nobody named."""
    inside, _, name = key.partition("/")
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": inside,
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv6" if ":" in "".join(ips) else "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in ips],
        "ports": [{"port": port, "name": f"p{port}", "protocol": "TCP"} for port in ports],
    }


def config_map(key: str, **data: str) -> Object:
    inside, _, name = key.partition("/")
    names = {name.replace("__", "-").replace("_", "."): text for name, text in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": inside},
        "data": names,
    }


def account(key: str) -> Object:
    inside, _, name = key.partition("/")
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": inside}}


def lease(key: str, renewed_at: str, seconds: int = 40, holder: str = "agent") -> Object:
    """``renewed_at`` in RFC 3339 with microseconds."""
    inside, _, name = key.partition("/")
    spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": renewed_at}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": inside, "labels": {"offmesh.io/agent": "true"}},
        "spec": spec,
    }


def many_pods(count: int, nodes: int = 100, namespaces: int = 50, first: int = 0) -> Iterator[Object]:
    """
    Make running pods as an API server stores them, each as long as those of a real cluster.

    They spread over ``node-0`` …, ``ns-0`` … and 500 applications; names and addresses count from ``first``.
    """
    for number in range(first, first + count):
        app = f"app-{number % 500}"
        made = pod(
            f"ns-{number % namespaces}/{app}-7d9c6b5f4d-{number:05d}",
            f"node-{number % nodes}",
            str(_FIRST_ADDRESS + number),
            f"sa-{number % 500}",
            {"app": app, "pod-template-hash": "7d9c6b5f4d", "version": "v1"},
        )
        made["metadata"] |= _owned(app, number)
        account = {"serviceAccount": made["spec"]["serviceAccountName"]}
        made["spec"] |= {"containers": [_container(app)]} | account | _DEFAULTED_SPEC
        made["status"] |= _status(app)
        yield made


_DEFAULTED_SPEC = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
    "enableServiceLinks": True,
    "tolerations": [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 300,
        }
        for state in ("not-ready", "unreachable")
    ],
}


def _owned(app: str, number: int) -> Object:
    """Return what a ReplicaSet, the API server and the clients that wrote it leave on a pod."""
    written: Object = {"f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:ownerReferences": {".": {}}}}
    names = ("f:image", "f:imagePullPolicy", "f:name", "f:ports", "f:resources", "f:terminationMessagePath")
    specified: Object = {"f:spec": {"f:containers": {'k:{"name":"app"}': {name: {} for name in names}}}}
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{app}-7d9c6b5f4d",
        "uid": _uid(number % 500),
    }
    return {
        "generateName": f"{app}-7d9c6b5f4d-",
        "uid": _uid(number + 1000),
        "creationTimestamp": _BEGIN,
        "annotations": {
            "ambient.istio.io/redirection": "enabled",
            "kubectl.kubernetes.io/restartedAt": _BEGIN,
        },
        "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}],
        "managedFields": [
            {
                "manager": manager,
                "operation": "Update",
                "apiVersion": "v1",
                "time": _BEGIN,
                "fieldsType": "FieldsV1",
                "fieldsV1": written | specified,
            }
            for manager in ("kube-controller-manager", "kubelet")
        ],
    }


def _container(app: str) -> Object:
    return {
        "name": "app",
        "image": f"registry.example/{app}:1.2.3",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "env": [
            {
                "name": "POD_NAME",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}},
            }
        ],
        "resources": {
            "limits": {"cpu": "1", "memory": "512Mi"},
            "requests": {"cpu": "100m", "memory": "128Mi"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def _status(app: str) -> Object:
    types = ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    container = {
        "name": "app",
        "state": {"running": {"startedAt": _BEGIN}},
        "lastState": {},
        "ready": True,
        "restartCount": 0,
        "image": f"registry.example/{app}:1.2.3",
        "imageID": "sha256:" + "0" * 64,
        "containerID": "containerd://" + "0" * 64,
    }
    return {
        "conditions": [
            {"type": one, "status": "True", "lastProbeTime": None, "lastTransitionTime": _BEGIN}
            for one in types
        ],
        "hostIP": "192.168.0.1",
        "startTime": _BEGIN,
        "containerStatuses": [container],
        "qosClass": "Burstable",
    }


def _uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"
