"""Captures of a registry: what is written is what is read."""

import json
from typing import Any

import pytest

from tests.helpers.objects import put
from xds_server.exceptions import InputError
from xds_server.mesh.graph import new_registry
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import Pod
from xds_server.settings import MeshSettings
from xds_server.sources.captures import captured, parse_capture, restore
from xds_server.store.registry import Registry

POD = "{kind: Pod, metadata: {name: p, namespace: ns, labels: {app: a}}, spec: {nodeName: cpu}}"


def capture_of(registry: Registry, **more: Any) -> dict[str, Any]:
    kinds = {
        source.name: {"objects": [{"key": key, "value": captured(row)} for key, row in source.items()]}
        for source in registry
    }
    return {"mesh": captured(MeshSettings(network="n")), "twoClusters": False, "kinds": kinds, **more}


def registry_with(*texts: str) -> Registry:
    registry = new_registry()
    for text in texts:
        put(registry, text)
    return registry


def read_back(capture: dict[str, Any]) -> Registry:
    parsed = parse_capture("c.json", json.dumps(capture).encode())
    assert parsed is not None
    registry = new_registry()
    restore("c.json", parsed, registry)
    return registry


def test_every_row_comes_back() -> None:
    registry = registry_with(POD)
    with registry.graph.transaction():
        registry.of(Pair).set("192.0.2.1", Pair("192.0.2.1", "192.0.2.2", "cpu", None, 3))
    again = read_back(capture_of(registry))
    assert {source.name: dict(source.items()) for source in again} == {
        source.name: dict(source.items()) for source in registry
    }


def test_settings_come_back() -> None:
    capture = parse_capture("c.json", json.dumps(capture_of(new_registry())).encode())
    assert capture is not None
    assert capture.mesh == MeshSettings(network="n")


def test_what_is_not_set_is_not_written() -> None:
    (row,) = registry_with(POD).of(Pod).rows.values()
    assert captured(row) == {
        "metadata": {"name": "p", "namespace": "ns", "uid": "", "labels": {"app": "a"}},
        "spec": {"nodeName": "cpu"},
        "status": {},
    }


@pytest.mark.parametrize(
    "text", [b"", b"kind: Pod", b"\xff", b"[]", b'{"kind": "List", "items": []}', b'{"kinds": {}}']
)
def test_anything_else_is_no_capture(text: bytes) -> None:
    assert parse_capture("c.json", text) is None


def test_a_capture_that_cannot_be_read_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"c.json: the capture is unusable: .*twoClusters"):
        parse_capture("c.json", b'{"mesh": {}, "kinds": {}}')


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ({"Pot": {"objects": []}}, "c.json: kinds.Pot is unknown: expected one of "),
        ({"Pod": {"objects": [{"key": "ns/p", "value": {}}]}}, "c.json: Pod ns/p: "),
    ],
)
def test_an_object_that_cannot_be_read_back_is_refused_with_all(kinds: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as refused:
        read_back(capture_of(registry_with(POD), kinds=kinds))
    assert str(refused.value).startswith(told)
