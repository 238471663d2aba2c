"""That a case fails when it should, and that what passes here passes through a capture as well."""

import json
from typing import Any

import msgspec
import pytest
from google.protobuf.json_format import ParseError

from tests.conformance.tables import Case, read_cases
from tests.conformance.world import World
from xds_server.app.replay import replay_capture
from xds_server.sources.captures import captured, parse_capture

POD = {"kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}, "status": {"podIP": "1.2.3.4"}}
UID = "cluster0//Pod/ns/p"
SERVICE = {"kind": "Service", "metadata": {"name": "s", "namespace": "ns"}, "spec": {"clusterIP": "10.0.0.1"}}
POLICY = {"kind": "AuthorizationPolicy", "metadata": {"name": "a", "namespace": "ns"}}
HOST = "ns/s.ns.svc.company.com"
WHOLE = {
    "name": "s",
    "namespace": "ns",
    "hostname": "s.ns.svc.company.com",
    "addresses": [{"network": "testnetwork", "address": "10.0.0.1"}],
    "canonical": True,
}


def case(**said: Any) -> Case:
    return msgspec.convert({"id": "x", "says": "x", "given": [POD, SERVICE, POLICY], **said}, Case)


def run(one: Case) -> None:
    world = World(one)
    world.apply(one.given)
    world.check(one)
    for step in one.then:
        world.edit(step)
        world.check(step)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"has": {UID: {"addresses": ["1.2.3.4"], "node": None, "status": "UNHEALTHY"}}},
        {"has": {UID: {"workload_type": "POD"}, HOST: {"canonical": True}}},
        {"names": [UID, HOST], "policy_names": ["ns/a"], "absent": ["ns/b"]},
        {"is": {HOST: WHOLE}},
        {"policies": {"ns/a": {"name": "a", "namespace": "ns", "scope": "NAMESPACE"}}},
        {"aliases": {UID: ["testnetwork/1.2.3.4"]}, "lookup": {"testnetwork/1.2.3.4": [UID]}},
    ],
)
def test_what_is_so_passes(said: dict[str, Any]) -> None:
    run(case(**said))


@pytest.mark.parametrize(
    "said",
    [
        {"has": {UID: {"addresses": ["1.2.3.5"]}}},
        {"has": {UID: {"addresses": None}}},
        {"has": {UID: {"node": "n"}}},
        {"has": {UID: {"status": "HEALTHY"}}},
        {"has": {"unknown": {}}},
        {"is": {HOST: {"name": "s"}}},
        {"names": [UID]},
        {"names": [UID, HOST, "more"]},
        {"policies": {"ns/a": {"name": "a", "namespace": "ns"}}},
        {"policies": {"ns/b": {}}},
        {"policy_names": []},
        {"absent": [UID]},
        {"absent": ["ns/a"]},
        {"aliases": {UID: []}},
        {"lookup": {"testnetwork/1.2.3.4": []}},
        {"problems": ["anything"]},
        {"given": [{**POD, "status": {"podIP": "nonsense"}}]},
        {"then": [{"when": "nothing", "changed": [UID]}]},
        {"then": [{"when": "it goes", "delete": ["Pod ns/p"], "changed": []}]},
    ],
)
def test_what_is_not_so_fails(said: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        run(case(**said))


@pytest.mark.parametrize(
    "said",
    [
        {"has": {UID: {"adresses": ["1.2.3.4"]}}},
        {"has": {UID: {"status": "GOOD"}}},
        {"has": {UID: {"hostname": "x", "canonical": True}}},
        {"policies": {"ns/a": {"rules": []}}},
        {"given": [{"kind": "Pod", "apiVersion": "v2", "metadata": {"name": "p"}}]},
        {"given": [{"kind": "Pot", "metadata": {"name": "p"}}]},
        {"given": [{"kind": "Pod", "metadata": {"name": True}}]},
        {"settings": {"netwerk": "n"}},
        {"then": [{"when": "what is not there goes", "delete": ["Pod ns/other"]}]},
        {"then": [{"when": "a kind is misspelt", "delete": ["Pot ns/p"]}]},
        {"has_not": {}},
    ],
)
def test_a_mistake_in_a_case_fails(said: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, TypeError, KeyError, ParseError, msgspec.ValidationError)):
        run(case(**said))


def test_each_case_has_a_name_of_its_own() -> None:
    names = [one.id for one in read_cases()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("one", list(read_cases()), ids=lambda one: one.id)
def test_a_case_serves_the_same_after_a_capture(one: Case) -> None:
    world = World(one)
    world.apply(one.given)
    registry, mesh = world.replay.registry, world.replay.mesh
    kinds = {
        source.name: {"objects": [{"key": key, "value": captured(row)} for key, row in source.items()]}
        for source in registry
    }
    text = json.dumps({"mesh": captured(world.settings), "twoClusters": mesh.two_clusters, "kinds": kinds})
    capture = parse_capture("capture.json", text.encode())
    assert capture is not None
    again = replay_capture("capture.json", capture)
    assert again.resources() == world.replay.resources()
    assert list(again.mesh.problems()) == list(mesh.problems())
