"""Namespaces, nodes, services and EndpointSlices as an API server would list them; a number makes each."""

from typing import Any

from bench.layout import (
    REGION,
    Size,
    address,
    app_name,
    namespace_name,
    node_address,
    node_name,
    node_of,
    pod_address,
    pod_name,
    service_of,
    short_hash,
    uid,
    zone,
)

Json = dict[str, Any]

BORN = "2026-03-02T08:00:00Z"


def namespace(number: int) -> Json:
    name = f"team-{number}"
    labels = {"istio.io/dataplane-mode": "ambient", "kubernetes.io/metadata.name": name}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "uid": uid("Namespace", name),
            "labels": labels,
            "creationTimestamp": BORN,
        },
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def node(size: Size, number: int) -> Json:
    name = node_name(number)
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": REGION,
        "topology.kubernetes.io/zone": zone(number),
    }
    if number < size.paired_nodes:
        labels["offMeshNodeType"] = "dpu" if number % 2 else "cpu"
    addresses = [
        {"type": "InternalIP", "address": node_address(number)},
        {"type": "Hostname", "address": name},
    ]
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": BORN}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": uid("Node", name), "labels": labels, "creationTimestamp": BORN},
        "spec": {"podCIDR": "", "providerID": f"metal://{REGION}/{name}"},
        "status": {"addresses": addresses, "conditions": [ready], "capacity": {"cpu": "64", "pods": "250"}},
    }


def service(number: int) -> Json:
    name, home = app_name(number), namespace_name(number)
    ip = address(96, number)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": home,
            "uid": uid("Service", f"{home}/{name}"),
            "labels": {"app": name},
            "creationTimestamp": BORN,
        },
        "spec": {
            "clusterIP": ip,
            "clusterIPs": [ip],
            "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            "selector": {"app": name},
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    }


def endpoint_slice(size: Size, number: int) -> Json:
    name, home = app_name(number), namespace_name(number)
    full_name = f"{name}-{short_hash(name, 5)}"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": full_name,
            "namespace": home,
            "uid": uid("EndpointSlice", f"{home}/{full_name}"),
            "generateName": f"{name}-",
            "labels": {
                "app": name,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": name,
            },
            "ownerReferences": [owner_reference("v1", "Service", name, uid("Service", f"{home}/{name}"))],
            "creationTimestamp": BORN,
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(size, pod) for pod in range(number, size.pods, size.services)],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def owner_reference(api_version: str, kind: str, name: str, owner_uid: str) -> Json:
    flags = {"blockOwnerDeletion": True, "controller": True}
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": owner_uid, **flags}


def _endpoint(size: Size, pod: int) -> Json:
    name, node = pod_name(size, pod), node_of(size, pod)
    home = namespace_name(service_of(size, pod))
    return {
        "addresses": [pod_address(pod)],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "nodeName": node_name(node),
        "targetRef": {"kind": "Pod", "namespace": home, "name": name, "uid": uid("Pod", name)},
        "zone": zone(node),
    }
