"""The agent of a node is told the datapath of that node, and of no other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.offmesh import Offmesh, grpcurl, json_values, serve

DELTA = "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
PROGRAM = "type.googleapis.com/offmesh.datapath.v1.NodeProgram"
RANGES = "type.googleapis.com/offmesh.datapath.v1.PodRanges"
ADDRESS = "type.googleapis.com/istio.workload.Address"
MESH = """\
{kind: Namespace, apiVersion: v1, metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}}
---
{kind: Node, apiVersion: v1, metadata: {name: cpu-a}, spec: {podCIDR: 10.0.0.0/24},
 status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
---
{kind: Node, apiVersion: v1, metadata: {name: dpu-a}, spec: {podCIDR: 10.0.1.0/24},
 status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}}
---
{kind: Pod, apiVersion: v1, metadata: {name: app, namespace: shop, uid: u-app},
 spec: {nodeName: cpu-a}, status: {phase: Running, podIP: 10.0.0.7}}
---
{kind: Pod, apiVersion: v1, metadata: {name: agent-1, namespace: istio-system, uid: u-agent},
 spec: {nodeName: cpu-a, serviceAccountName: offmesh-agent, hostNetwork: true}, status: {phase: Running}}
---
{kind: Pod, apiVersion: v1, metadata: {name: zt, namespace: istio-system, uid: u-zt, labels: {app: ztunnel}},
 spec: {nodeName: dpu-a, serviceAccountName: ztunnel},
 status: {phase: Running, podIP: 10.0.1.9, conditions: [{type: Ready, status: "True"}]}}
"""
MAP = "pairs: [{cpuNodeIP: 192.0.2.1, dpuNodeIP: 192.0.2.2}]\n"
LATE = MESH.split("---")[3].replace("app,", "late,").replace("u-app", "u-late").replace("0.7", "0.8")


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "mesh.yaml").write_text(MESH)
    (tmp_path / "map.yaml").write_text(MAP)
    return folder


@pytest.fixture
def offmesh(tmp_path: Path, mesh: Path) -> Iterator[Offmesh]:
    with serve(tmp_path, manifests=mesh, cluster_conf=tmp_path / "map.yaml") as server:
        yield server


def told(offmesh: Offmesh, node: str, type_url: str = PROGRAM) -> list[Any]:
    """Return the resources a client with this node id gets on the plaintext port."""
    asked = json.dumps({"node": {"id": node}, "type_url": type_url})
    answer = grpcurl("-max-time", "2", "-d", asked, offmesh.grpc, DELTA, check=False)
    return [one["resource"] for one in json_values(answer.stdout)[0].get("resources", [])]


def test_a_node_is_told_its_own_program_and_nobody_elses(offmesh: Offmesh) -> None:
    (cpu,) = told(offmesh, "cpu-a")
    assert (cpu["node"], cpu["role"], cpu["ztunnel"]["uid"]) == ("cpu-a", "CPU", "u-zt")
    assert [pod["uid"] for pod in cpu["pods"]] == ["u-app"]
    (dpu,) = told(offmesh, "dpu-a")
    assert (dpu["role"], [peer["node"] for peer in dpu["peers"]]) == ("DPU", ["cpu-a"])
    assert told(offmesh, "nobody") == []


def test_all_are_told_whose_pods_are_where(offmesh: Offmesh) -> None:
    (ranges,) = told(offmesh, "nobody", RANGES)
    found = {one["node"]: (one["pod_cidrs"][0]["length"], "dpu_addresses" in one) for one in ranges["ranges"]}
    assert found == {"cpu-a": (24, True), "dpu-a": (24, False)}


def test_a_change_of_its_pods_reaches_the_agent_at_once(offmesh: Offmesh, mesh: Path) -> None:
    token = offmesh.token("istio-system/agent-1", mesh)
    with offmesh.open_call(DELTA, token) as call:
        call.send({"node": {"id": "whatever"}, "type_url": PROGRAM})
        first = call.receive()
        assert [one["name"] for one in first["resources"]] == ["cpu-a"]
        (mesh / "late.yaml").write_text(LATE)
        pods = call.receive()["resources"][0]["resource"]["pods"]
        assert [pod["uid"] for pod in pods] == ["u-app", "u-late"]
        (mesh / "late.yaml").unlink()
        pods = call.receive()["resources"][0]["resource"]["pods"]
        assert [pod["uid"] for pod in pods] == ["u-app"]


def test_on_the_secure_port_a_program_is_for_agents_alone(offmesh: Offmesh, mesh: Path) -> None:
    token = offmesh.token("istio-system/zt", mesh)
    refused = offmesh.secure_grpcurl(
        DELTA, {"node": {"id": "cpu-a"}, "type_url": PROGRAM}, token, check=False
    )
    assert "PermissionDenied" in refused.stderr
    assert "istio-system/ztunnel is none, expected istio-system/offmesh-agent" in refused.stderr


def test_an_agent_is_a_client_like_others_in_the_debug_views(offmesh: Offmesh, mesh: Path) -> None:
    with offmesh.open_call(DELTA, offmesh.token("istio-system/agent-1", mesh)) as call:
        call.send({"node": {"id": "agent~cpu-a"}, "type_url": PROGRAM})
        nonce = call.receive()["nonce"]
        status = {"code": 13, "message": "step 3 failed"}
        call.send({"type_url": PROGRAM, "response_nonce": nonce, "error_detail": status})
        while "step 3 failed" not in json.dumps(offmesh.get("/debug/syncz")):
            pass
