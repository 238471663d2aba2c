"""How Kubernetes objects are read: what is kept, what may be absent, what is refused."""

import json
from typing import Any

import msgspec
import pytest

from xds_server.objects.kinds import CLUSTER_SCOPED, KINDS, object_key
from xds_server.objects.kubernetes import (
    DPU_KINDS,
    EndpointSlice,
    KubernetesObject,
    Namespace,
    Node,
    ObjectMeta,
    Pod,
    Service,
)

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u-1",
        "generateName": "web-",
        "labels": {"app": "web"},
        "annotations": {"ambient.istio.io/redirection": "enabled", "other": "x" * 300_000},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": True, "uid": "r"}],
        "managedFields": [{"manager": "kubelet"}],
    },
    "spec": {
        "nodeName": "n1",
        "serviceAccountName": "web",
        "hostNetwork": True,
        "containers": [{"image": "web", "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}]}],
    },
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": None}],
    },
}


def read(kind: type[KubernetesObject], value: Any) -> Any:
    """Read a value from JSON, and make sure that reading it from plain values is the same."""
    item = msgspec.json.decode(json.dumps(value), type=kind)
    assert msgspec.convert(value, kind) == item
    return item


def test_a_pod_keeps_the_fields_in_use() -> None:
    pod = read(Pod, POD)
    assert (pod.name, pod.namespace, pod.metadata.uid) == ("web-1", "shop", "u-1")
    assert pod.metadata.generate_name == "web-"
    assert pod.labels == {"app": "web"}
    assert pod.annotations.redirection == "enabled"
    assert [(owner.kind, owner.name, owner.controller) for owner in pod.metadata.owner_references] == [
        ("ReplicaSet", "web", True)
    ]
    assert (pod.spec.node_name, pod.spec.service_account_name, pod.spec.host_network) == ("n1", "web", True)
    assert pod.spec.containers[0].ports[0].container_port == 80
    assert (pod.status.phase, pod.status.pod_ip) == ("Running", "10.0.0.1")
    assert [ip.ip for ip in pod.status.pod_ips] == ["10.0.0.1", "fd00::1"]
    assert [(condition.type, condition.status) for condition in pod.status.conditions] == [("Ready", "True")]


def test_fields_not_in_use_take_no_room() -> None:
    assert len(msgspec.json.encode(read(Pod, POD))) < 1000


def test_a_service_keeps_names_and_numbers_of_target_ports() -> None:
    ports = [{"port": 80, "targetPort": "http", "appProtocol": "h2c"}, {"port": 81, "targetPort": 8081}]
    spec = {
        "clusterIP": "10.1.0.1",
        "clusterIPs": ["10.1.0.1", "fd01::1"],
        "selector": {"app": "web"},
        "ports": ports,
    }
    service = read(Service, {"metadata": {"name": "web"}, "spec": spec})
    assert [port.target_port for port in service.spec.ports] == ["http", 8081]
    assert (service.spec.cluster_ip, service.spec.cluster_ips) == ("10.1.0.1", ("10.1.0.1", "fd01::1"))
    assert service.spec.selector == {"app": "web"}


def test_an_endpoint_slice_keeps_addresses_readiness_and_targets() -> None:
    endpoint = {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": False, "serving": True},
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": "u-1"},
    }
    value = {
        "metadata": {"name": "s"},
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"port": None}],
    }
    found = read(EndpointSlice, value)
    assert (found.address_type, found.ports[0].port) == ("IPv4", None)
    assert found.endpoints[0].conditions.ready is False
    assert found.endpoints[0].target_ref.uid == "u-1"


def test_a_node_tells_its_internal_addresses_in_order() -> None:
    kinds = ["Hostname", "InternalIP", "ExternalIP", "InternalIP"]
    addresses = [{"type": kind, "address": f"10.0.0.{number}"} for number, kind in enumerate(kinds)]
    node = read(Node, {"metadata": {"name": "n1"}, "status": {"addresses": addresses}})
    assert node.internal_ips == ("10.0.0.1", "10.0.0.3")
    assert read(Node, {"metadata": {"name": "n1"}}).internal_ips == ()


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_name_is_all_that_an_object_needs(kind: type[KubernetesObject]) -> None:
    item = read(kind, {"metadata": {"name": "x"}})
    assert (item.name, item.namespace, item.labels) == ("x", "", {})
    assert item.annotations.redirection is None


@pytest.mark.parametrize("kind", KINDS.values())
@pytest.mark.parametrize(
    "metadata",
    [{}, {"name": ""}, {"name": "A"}, {"name": "a/b"}, {"name": "-a"}, {"name": "x" * 254}, {"name": 1}],
)
def test_a_name_the_api_server_would_refuse_is_refused(kind: type[KubernetesObject], metadata: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"at `\$\.metadata"):
        msgspec.convert({"metadata": metadata}, kind)


@pytest.mark.parametrize("port", [-1, 65536, "80", 80.5, None, True])
def test_a_port_that_is_none_is_refused_with_its_path(port: Any) -> None:
    value = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}, {"port": port}]}}
    with pytest.raises(msgspec.ValidationError, match=r"\$\.spec\.ports\[1\]\.port"):
        msgspec.convert(value, Service)


@pytest.mark.parametrize(
    ("kind", "namespace", "expected"),
    [
        (Pod, "shop", "shop/x"),
        (Pod, None, "default/x"),
        (Service, "", "default/x"),
        (Node, None, "x"),
        (Node, "shop", "x"),
        (Namespace, None, "x"),
    ],
)
def test_the_key_of_an_object_is_its_namespace_and_name(
    kind: type[KubernetesObject], namespace: str | None, expected: str
) -> None:
    assert object_key(kind, ObjectMeta(name="x", namespace=namespace)) == expected


def test_kinds_are_loaded_before_those_that_are_derived_with_them() -> None:
    kinds = list(KINDS.values())
    assert kinds.index(Namespace) < kinds.index(Service) < kinds.index(EndpointSlice)
    assert kinds.index(Node) < kinds.index(Pod)
    assert set(kinds) > CLUSTER_SCOPED - set(DPU_KINDS)


@pytest.mark.parametrize("meta", [{"name": "a\n"}, {"name": "a/b"}, {"name": "a", "namespace": "b/c"}])
def test_a_name_that_would_make_an_ambiguous_key_is_refused(meta: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"(?i)expected"):
        msgspec.convert({"metadata": meta}, Pod)
