"""What governs the made-up mesh: every service has its waypoint, and every policy its pods."""

import json
from pathlib import Path

import pytest

from bench.governing import POLICIES, ChangingPolicy, governing_objects, policy
from bench.layout import Size
from bench.mesh import objects, write_mesh
from tests.helpers.mesh import MeshUnderTest
from xds_server.settings import MeshSettings

SIZE = Size(pods=120, services=45, nodes=7)


@pytest.fixture(scope="module")
def mesh() -> MeshUnderTest:
    listed = [*objects(SIZE, governed=True), *governing_objects(SIZE)]
    listed += [policy(SIZE, number) for number in range(POLICIES)]
    return MeshUnderTest("\n---\n".join(map(json.dumps, listed)), settings=MeshSettings())


def test_every_service_has_the_waypoint_of_its_namespace(mesh: MeshUnderTest) -> None:
    services = [message.service for message in mesh.messages().values() if message.HasField("service")]
    assert len(services) == SIZE.services
    waypoints = {service.namespace: service.waypoint.address.address for service in services}
    assert all(waypoints.values())
    assert len(set(waypoints.values())) == SIZE.namespaces


def test_every_pod_names_the_policies_that_select_it(mesh: MeshUnderTest) -> None:
    workloads = [message.workload for message in mesh.messages().values() if message.HasField("workload")]
    assert len(workloads) == SIZE.pods
    named = {name for workload in workloads for name in workload.authorization_policies}
    assert len(named) == POLICIES
    assert all(workload.authorization_policies for workload in workloads)


def test_nothing_of_it_is_refused(mesh: MeshUnderTest) -> None:
    assert list(mesh.mesh.problems()) == []


def test_a_changed_policy_is_the_same_policy_with_another_port(tmp_path: Path) -> None:
    write_mesh(tmp_path, SIZE, governed=True)
    file = tmp_path / "mesh" / "policies" / "policy-3.json"
    before = json.loads(file.read_text())
    ChangingPolicy(tmp_path, SIZE, 3).change(76)
    after = json.loads(file.read_text())
    (operation,) = after["spec"]["rules"][0]["to"]
    assert operation == {"operation": {"ports": ["1100"]}}
    before["spec"]["rules"][0]["to"] = [operation]
    assert after == before
