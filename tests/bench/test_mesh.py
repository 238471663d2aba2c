"""The made-up mesh of the benchmark: it could run, and it is always the same."""

import json
from collections import Counter
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from bench.changes import ChangingPod
from bench.layout import Size, pod_suffix
from bench.mesh import changing_file, objects, placement_map, write_mesh
from tests.helpers.mesh import MeshUnderTest
from xds_server.objects.kinds import KINDS, object_key
from xds_server.objects.kubernetes import EndpointSlice, KubernetesObject, Namespace, Node, Pod, Service
from xds_server.settings import MeshSettings
from xds_server.sources.placement.parse import parse_placement_map

SIZES = [Size(pods=1, services=1, nodes=1), Size(pods=700, services=45, nodes=17)]
SIZE = SIZES[-1]
CHANGING = 3

Kind = TypeVar("Kind", bound=KubernetesObject)


def of_kind(kind: type[Kind], size: Size) -> dict[str, Kind]:
    """Return the mesh's objects of a kind by ``namespace/name``."""
    made = [item for item in objects(size) if KINDS[item["apiVersion"], item["kind"]] is kind]
    converted = [msgspec.convert(item, kind) for item in made]
    return {object_key(kind, item.metadata): item for item in converted}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(text: bytes) -> list[str]:
    listed = json.loads(text)
    return [item["metadata"]["name"] for item in listed["items"] if item["kind"] == "Pod"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made-up")
    write_mesh(out, SIZE, CHANGING)
    return out


@pytest.mark.parametrize("size", SIZES)
def test_there_is_as_much_of_everything_as_was_asked_for(size: Size) -> None:
    counted = Counter(item["kind"] for item in objects(size))
    expected = {
        "Pod": size.pods,
        "Service": size.services,
        "EndpointSlice": size.services,
        "Node": size.nodes,
    }
    assert counted == {**expected, "Namespace": -(-size.services // 20)}


@pytest.mark.parametrize("size", SIZES)
def test_every_name_and_address_is_unique(size: Size) -> None:
    addresses = [ip for node in of_kind(Node, size).values() for ip in node.internal_ips]
    addresses += [pod.status.pod_ip or "" for pod in of_kind(Pod, size).values()]
    addresses += [service.spec.cluster_ip or "" for service in of_kind(Service, size).values()]
    assert len(addresses) == len(set(addresses)) == sum(size)
    uids = [item["metadata"]["uid"] for item in objects(size)]
    assert len(uids) == len(set(uids))


def test_a_hundred_thousand_pods_have_names_of_their_own() -> None:
    assert len({pod_suffix(number) for number in range(100_000)}) == 100_000


@pytest.mark.parametrize("size", SIZES)
def test_every_pod_is_named_by_the_slice_of_the_one_service_that_selects_it(size: Size) -> None:
    pods, services = of_kind(Pod, size), of_kind(Service, size)
    named = set()
    for piece in of_kind(EndpointSlice, size).values():
        service = services[f"{piece.namespace}/{piece.labels['kubernetes.io/service-name']}"]
        for endpoint in piece.endpoints or ():
            assert endpoint.target_ref is not None
            key = f"{endpoint.target_ref.namespace}/{endpoint.target_ref.name}"
            pod = pods[key]
            assert (endpoint.addresses, endpoint.target_ref.uid) == ((pod.status.pod_ip,), pod.metadata.uid)
            assert service.spec.selector == {"app": pod.labels["app"]}
            assert pod.namespace == service.namespace
            named.add(key)
    assert named == set(pods)


def test_pods_are_about_as_large_as_real_ones() -> None:
    sizes = [len(json.dumps(item)) for item in objects(SIZE) if item["kind"] == "Pod"]
    assert 2_000 < min(sizes) <= max(sizes) < 3_500


def test_half_of_the_nodes_are_pairs_and_pods_run_on_all_but_the_dpus() -> None:
    nodes = of_kind(Node, SIZE)
    types = Counter(node.labels.get("offMeshNodeType") for node in nodes.values())
    assert types == {"cpu": SIZE.nodes // 4, "dpu": SIZE.nodes // 4, None: SIZE.nodes - SIZE.nodes // 4 * 2}
    hosts = {name for name, node in nodes.items() if node.labels.get("offMeshNodeType") != "dpu"}
    assert {pod.spec.node_name for pod in of_kind(Pod, SIZE).values()} == hosts


@pytest.mark.parametrize("size", SIZES)
def test_the_map_places_every_node_in_the_role_of_its_label(size: Size) -> None:
    placed = parse_placement_map(placement_map(size).encode(), "cluster-conf.yaml")
    roles = {pair.cpu_node_ip: (pair.cpu_node_name, "cpu") for pair in placed.pairs}
    roles |= {pair.dpu_node_ip: (pair.dpu_node_name, "dpu") for pair in placed.pairs}
    roles |= {single.node_ip: (single.node_name, "") for single in placed.singles}
    nodes = of_kind(Node, size).values()
    assert roles == {
        node.internal_ips[0]: (node.name, node.labels.get("offMeshNodeType", "")) for node in nodes
    }


def test_every_namespace_in_use_exists_and_is_in_the_mesh() -> None:
    namespaces = of_kind(Namespace, SIZE)
    assert {pod.namespace for pod in of_kind(Pod, SIZE).values()} == set(namespaces)
    assert {item.labels["istio.io/dataplane-mode"] for item in namespaces.values()} == {"ambient"}


def test_the_same_numbers_write_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_mesh(tmp_path, SIZE, CHANGING)
    assert files(tmp_path) == files(folder)


def test_pods_with_a_file_of_their_own_are_in_no_other(folder: Path) -> None:
    listed = names((folder / "mesh" / "all.json").read_bytes())
    own = [
        json.loads(changing_file(folder, number).read_text())["metadata"]["name"]
        for number in range(CHANGING)
    ]
    assert len(listed) == SIZE.pods - CHANGING
    assert len(set(listed + own)) == SIZE.pods


def test_a_changed_pod_is_the_same_pod_at_another_version(folder: Path) -> None:
    file = changing_file(folder, 1)
    before = json.loads(file.read_text())
    change = ChangingPod(file, SIZE, 1).change(17)
    after = json.loads(file.read_text())
    assert change.name == f"Kubernetes//Pod/{before['metadata']['namespace']}/{before['metadata']['name']}"
    assert after["metadata"]["labels"].pop("version") == "rev-17"
    assert before["metadata"]["labels"].pop("version") == "v1"
    assert after == before


def test_clients_see_a_change_in_the_workload(folder: Path) -> None:
    file = changing_file(folder, 2)
    changing = ChangingPod(file, SIZE, 2)
    name = changing.change(1).name
    mesh = MeshUnderTest(file.read_text(), settings=MeshSettings())
    assert mesh.workload(name).canonical_revision == "rev-1"
