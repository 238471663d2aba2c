"""The made-up mesh in a real API server: as heavy as a live one, listed as it was meant, and followed."""

import asyncio
import json

import pytest

from bench.clients import OneClient
from bench.cluster_changes import change_pods
from bench.cluster_mesh import own_objects, resource_count, stored_objects
from bench.cluster_server import missing_tools, running_cluster
from bench.layout import Size
from bench.mesh import objects, placement_map, to_text
from bench.meshes import LARGE
from tests.helpers.programs import tool

SIZE = Size(pods=9, services=2, nodes=4)


def test_a_pod_weighs_as_much_as_a_real_one_with_its_managed_fields() -> None:
    pods = [item for item in stored_objects(LARGE._replace(pods=500)) if item["kind"] == "Pod"]
    sizes = [len(to_text(pod)) for pod in pods]
    assert 2_700 < min(sizes) <= max(sizes) < 4_000
    assert all(pod["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] for pod in pods)


def test_what_is_stored_is_the_mesh_of_the_other_rows_without_its_resource_versions() -> None:
    stored = [json.loads(to_text(item)) for item in stored_objects(SIZE)]
    assert not [item for item in stored if "resourceVersion" in item["metadata"]]
    for item in stored:
        item["metadata"].pop("managedFields", None)
    written = list(objects(SIZE))
    for item in written:
        item["metadata"].pop("resourceVersion", None)
    assert stored == written


def test_the_placement_map_is_that_of_the_other_rows() -> None:
    namespace, config_map = own_objects(SIZE)
    assert config_map["metadata"]["namespace"] == namespace["metadata"]["name"]
    assert config_map["data"] == {"cluster-conf.yaml": placement_map(SIZE)}


def test_programs_are_missing_where_neither_the_tools_nor_the_path_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.cluster_server.TOOLS", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere-else")
    assert missing_tools() == ["etcd", "kube-apiserver"]


def test_a_replica_serves_what_was_stored_and_a_change_once_the_api_server_is_back() -> None:
    for name in ("etcd", "kube-apiserver"):
        tool(name)
    with running_cluster(SIZE) as cluster, cluster.serving("one") as server:
        client = OneClient(server.grpc)
        assert client.synchronize() == resource_count(SIZE)
        assert server.start_seconds > 0
        cluster.stop_api_server()
        cluster.start_api_server()
        (change,) = asyncio.run(change_pods(cluster.api, SIZE, pods=1, count=1, per_second=1))
        while not (sent := client.synchronize()):
            pass
        assert sent == 1
        assert change.name in client.versions
