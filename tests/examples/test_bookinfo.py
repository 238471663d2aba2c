"""The bookinfo example is a mesh that could run: what its objects name, exists."""

import json
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import yaml

from xds_server.objects.kinds import KINDS, object_key
from xds_server.objects.kubernetes import EndpointSlice, KubernetesObject, Namespace, Node, Pod, Service

EXAMPLE = Path(__file__).parents[2] / "examples" / "bookinfo"
FILES = sorted((EXAMPLE / "mesh").iterdir())
DEPLOYMENTS = ["details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"]

Kind = TypeVar("Kind", bound=KubernetesObject)


def documents(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every object of a file, with its Lists opened."""
    text = path.read_text()
    loaded = [json.loads(text)] if path.suffix == ".json" else yaml.safe_load_all(text)
    for document in loaded:
        yield from document["items"] if document["kind"] == "List" else [document]


def every_document() -> list[dict[str, Any]]:
    return [document for path in FILES for document in documents(path)]


def of_kind(kind: type[Kind]) -> dict[str, Kind]:
    """Return the example's objects of a kind by ``namespace/name``."""
    wanted = [document for document in every_document() if document["kind"] == kind.__name__]
    made = [msgspec.convert(document, kind) for document in wanted]
    return {object_key(kind, item.metadata): item for item in made}


def conf() -> dict[str, list[dict[str, str]]]:
    loaded: dict[str, list[dict[str, str]]] = yaml.safe_load((EXAMPLE / "cluster-conf.yaml").read_text())
    return loaded


def addresses_and_names() -> list[tuple[str, str | None, str]]:
    """Address, name if given, and node type of every node in the placement map."""
    rows: list[tuple[str, str | None, str]] = []
    for pair in conf()["pairs"]:
        rows.append((pair["cpuNodeIP"], pair.get("cpuNodeName"), "cpu"))
        rows.append((pair["dpuNodeIP"], pair.get("dpuNodeName"), "dpu"))
    return rows + [(single["nodeIP"], single.get("nodeName"), "") for single in conf()["singles"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_object_decodes_and_has_a_uid(path: Path) -> None:
    found = list(documents(path))
    assert found
    for document in found:
        kind = KINDS[document["apiVersion"], document["kind"]]
        assert msgspec.convert(document, kind).metadata.uid


def test_no_object_is_there_twice() -> None:
    keys = [
        (document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
        for document in every_document()
    ]
    uids = [document["metadata"]["uid"] for document in every_document()]
    assert len(keys) == len(set(keys)) == len(set(uids))


def test_every_deployment_of_bookinfo_has_a_ready_pod_in_the_mesh() -> None:
    pods = [pod for pod in of_kind(Pod).values() if pod.namespace == "default"]
    assert sorted(f"{pod.labels['app']}-{pod.labels['version']}" for pod in pods) == DEPLOYMENTS
    for pod in pods:
        assert pod.status.phase == "Running"
        assert ("Ready", "True") in [(item.type, item.status) for item in pod.status.conditions or ()]
        assert pod.annotations.redirection == "enabled"
        assert pod.spec.service_account_name == f"bookinfo-{pod.labels['app']}"
        assert [port.container_port for item in pod.spec.containers or () for port in item.ports or ()] == [
            9080
        ]


def test_every_pod_runs_on_a_node_that_exists_and_has_an_address_of_it() -> None:
    nodes = of_kind(Node)
    ranges = {
        document["metadata"]["name"]: ip_network(document["spec"]["podCIDR"])
        for document in every_document()
        if document["kind"] == "Node"
    }
    for pod in of_kind(Pod).values():
        assert pod.spec.node_name in nodes
        assert ip_address(pod.status.pod_ip or "") in ranges[pod.spec.node_name]


def test_every_pod_is_named_by_the_owner_it_refers_to() -> None:
    for pod in of_kind(Pod).values():
        (owner,) = pod.metadata.owner_references or ()
        assert owner.controller
        assert pod.metadata.generate_name == f"{owner.name}-"
        assert pod.name.startswith(f"{owner.name}-")
        if owner.kind == "ReplicaSet":
            assert owner.name.endswith(pod.labels["pod-template-hash"])


def test_bookinfo_runs_on_every_node_that_is_no_dpu() -> None:
    nodes = {node.name for node in of_kind(Node).values() if node.labels.get("offMeshNodeType") != "dpu"}
    assert {pod.spec.node_name for pod in of_kind(Pod).values() if pod.namespace == "default"} == nodes


def test_a_ztunnel_runs_on_every_node_that_is_no_cpu_node() -> None:
    nodes = {node.name for node in of_kind(Node).values() if node.labels.get("offMeshNodeType") != "cpu"}
    ztunnels = [pod for pod in of_kind(Pod).values() if pod.labels.get("app") == "ztunnel"]
    assert sorted(pod.spec.node_name or "" for pod in ztunnels) == sorted(nodes)
    assert {(pod.namespace, pod.spec.service_account_name) for pod in ztunnels} == {
        ("istio-system", "ztunnel")
    }


def test_every_target_of_a_slice_is_that_pod_and_selected_by_its_service() -> None:
    pods, services = of_kind(Pod), of_kind(Service)
    for piece in of_kind(EndpointSlice).values():
        service = services[f"{piece.namespace}/{piece.labels['kubernetes.io/service-name']}"]
        selected = {
            pod.metadata.uid
            for pod in pods.values()
            if service.spec.selector
            and pod.namespace == service.namespace
            and service.spec.selector.items() <= pod.labels.items()
        }
        targets = [item.target_ref for item in piece.endpoints or () if item.target_ref]
        assert {target.uid for target in targets} == selected
        for endpoint in piece.endpoints or ():
            if target := endpoint.target_ref:
                pod = pods[f"{target.namespace}/{target.name}"]
                assert pod.metadata.uid == target.uid
                assert endpoint.addresses == (pod.status.pod_ip,)


def test_every_service_has_a_slice_and_only_the_api_servers_names_no_pod() -> None:
    slices = of_kind(EndpointSlice).values()
    sliced = {f"{piece.namespace}/{piece.labels['kubernetes.io/service-name']}" for piece in slices}
    assert sliced == set(of_kind(Service))
    podless = [piece.name for piece in slices if not all(item.target_ref for item in piece.endpoints or ())]
    assert podless == ["kubernetes"]


def test_no_address_is_given_twice() -> None:
    given = [ip for node in of_kind(Node).values() for ip in node.internal_ips]
    given += [item.ip for pod in of_kind(Pod).values() for item in pod.status.pod_ips or ()]
    given += [ip for service in of_kind(Service).values() for ip in service.spec.cluster_ips or ()]
    assert len(given) == len(set(given))


def test_every_namespace_in_use_exists_and_default_is_in_the_mesh() -> None:
    namespaces = of_kind(Namespace)
    used = {document["metadata"].get("namespace") for document in every_document()} - {None}
    assert used <= set(namespaces)
    assert namespaces["default"].labels["istio.io/dataplane-mode"] == "ambient"


def test_the_map_names_every_node_by_its_address_in_the_role_of_its_label() -> None:
    nodes = {ip: node for node in of_kind(Node).values() for ip in node.internal_ips}
    rows = addresses_and_names()
    assert sorted(ip for ip, _, _ in rows) == sorted(nodes)
    for ip, name, role in rows:
        assert name in (None, nodes[ip].name)
        assert nodes[ip].labels.get("offMeshNodeType", "") == role
