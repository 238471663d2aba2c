"""What people with grpcurl see of a running server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.offmesh import EXAMPLE, Offmesh, grpcurl, json_values, serve

ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
ADDRESS = "type.googleapis.com/istio.workload.Address"
AUTHORIZATION = "type.googleapis.com/istio.security.Authorization"

pytestmark = pytest.mark.xdist_group("grpcurl")


@pytest.fixture(scope="module")
def offmesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offmesh]:
    folder = tmp_path_factory.mktemp("offmesh")
    mesh = shutil.copytree(EXAMPLE / "mesh", folder / "mesh")
    with serve(folder, manifests=mesh, cluster_conf=EXAMPLE / "cluster-conf.yaml") as running:
        yield running


def request(**fields: Any) -> str:
    return json.dumps({"node": {"id": "grpcurl"}, **fields})


def workloads(response: Any) -> dict[str, Any]:
    addresses = [resource["resource"] for resource in response["resources"]]
    return {address["workload"]["uid"]: address["workload"] for address in addresses if "workload" in address}


def test_list_names_the_services(offmesh: Offmesh) -> None:
    listed = grpcurl(offmesh.grpc, "list").stdout.split()
    assert {ADS, "grpc.health.v1.Health"} <= set(listed)


def test_describe_shows_both_variants(offmesh: Offmesh) -> None:
    described = grpcurl(offmesh.grpc, "describe", ADS).stdout
    assert "rpc DeltaAggregatedResources" in described
    assert "rpc StreamAggregatedResources" in described


@pytest.mark.parametrize("service", ["", ADS])
def test_health_is_serving(offmesh: Offmesh, service: str) -> None:
    answer = grpcurl("-d", json.dumps({"service": service}), offmesh.grpc, "grpc.health.v1.Health/Check")
    assert json.loads(answer.stdout) == {"status": "SERVING"}


def test_a_delta_stream_shows_workloads_of_cpu_nodes_on_their_dpu_nodes(offmesh: Offmesh) -> None:
    answer = grpcurl("-d", request(type_url=ADDRESS), offmesh.grpc, f"{ADS}/DeltaAggregatedResources")
    (response,) = json_values(answer.stdout)
    placed = {uid: workload.get("node") for uid, workload in workloads(response).items()}
    pairs = {pair["cpuNodeName"]: pair["dpuNodeName"] for pair in offmesh.get("/debug/placementz")["pairs"]}
    assert len(pairs) == 2
    assert set(pairs.values()) <= set(placed.values())
    assert not set(pairs) & set(placed.values())


def test_a_delta_stream_takes_several_requests(offmesh: Offmesh) -> None:
    requests = request(type_url=ADDRESS) + request(type_url=AUTHORIZATION)
    answer = grpcurl("-d", "@", offmesh.grpc, f"{ADS}/DeltaAggregatedResources", stdin=requests)
    types = [response["type_url"] for response in json_values(answer.stdout)]
    assert sorted(types) == sorted([ADDRESS, AUTHORIZATION])


def test_an_on_demand_stream_finds_a_service_by_its_vip_with_its_workloads(offmesh: Offmesh) -> None:
    dump = offmesh.get("/debug/ambientz")
    service = next(item for item in dump["services"] if item["name"] == "reviews")
    name = f"{service['namespace']}/{service['hostname']}"
    answer = grpcurl(
        "-d",
        request(type_url=ADDRESS, resource_names_subscribe=[name, "/192.0.2.77"]),
        offmesh.grpc,
        f"{ADS}/DeltaAggregatedResources",
    )
    (response,) = json_values(answer.stdout)
    names = {resource["name"] for resource in response["resources"]}
    assert {name} < names
    assert response["removed_resources"] == ["/192.0.2.77"]
    assert all(name in item["services"] for item in workloads(response).values() if "reviews" in item["name"])


def test_a_state_of_the_world_stream_shows_the_same(offmesh: Offmesh) -> None:
    answer = grpcurl("-d", request(type_url=ADDRESS), offmesh.grpc, f"{ADS}/StreamAggregatedResources")
    (response,) = json_values(answer.stdout)
    dump = offmesh.get("/debug/ambientz")
    assert len(response["resources"]) == len(dump["workloads"]) + len(dump["services"])


def test_an_unknown_type_is_answered_empty(offmesh: Offmesh) -> None:
    unknown = "type.googleapis.com/envoy.config.cluster.v3.Nothing"
    answer = grpcurl("-d", request(type_url=unknown), offmesh.grpc, f"{ADS}/DeltaAggregatedResources")
    (response,) = json_values(answer.stdout)
    assert "resources" not in response
    assert response["type_url"] == unknown


def test_a_bad_request_is_refused_with_its_reason(offmesh: Offmesh) -> None:
    nameless = json.dumps({"type_url": ADDRESS})
    answer = grpcurl("-d", nameless, offmesh.grpc, f"{ADS}/DeltaAggregatedResources", check=False)
    assert answer.returncode != 0
    assert "InvalidArgument" in answer.stderr
    assert "the first request has no node.id" in answer.stderr


def test_an_unknown_method_is_unimplemented(offmesh: Offmesh) -> None:
    answer = grpcurl("-d", "{}", offmesh.grpc, f"{ADS}/Nothing", check=False)
    assert answer.returncode != 0


def test_the_example_has_nothing_to_complain_about(offmesh: Offmesh) -> None:
    assert offmesh.get("/debug/placementz")["conflicts"] == []
    assert offmesh.get("/debug/errorsz")["counts"] == {"derived": 0, "inputs": 0, "reported": 0}


def test_the_log_is_one_line_an_event(offmesh: Offmesh, tmp_path_factory: pytest.TempPathFactory) -> None:
    logs = list(Path(tmp_path_factory.getbasetemp()).glob("offmesh*/log"))
    assert logs
    for line in logs[0].read_text().splitlines():
        assert line.startswith(("2", "ready:", "TLS:", "try:")), line
