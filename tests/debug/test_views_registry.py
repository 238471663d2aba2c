"""What is told of the source objects."""

import json

import pytest

from tests.helpers.asked_views import tell
from tests.helpers.served_mesh import ServedMesh
from xds_server.app.replay import replay_capture
from xds_server.debug.views_registry import registryz
from xds_server.sources.captures import parse_capture


def test_it_tells_counts_and_no_names_unasked(mesh: ServedMesh) -> None:
    told = tell(registryz, mesh)
    assert told["kinds"]["Pod"] == {"count": 3, "synced": False}
    assert told["kinds"]["Pair"]["count"] == 1
    assert (told["files"], told["ignored"]) == ({"mesh.yaml": 5}, {"ConfigMap": 3})


def test_it_tells_which_kinds_are_not_whole_yet(mesh: ServedMesh) -> None:
    for source in mesh.registry:
        source.synced = source.name != "Pod"
    told = tell(registryz, mesh)
    assert told["unsynced"] == ["Pod"]
    assert (told["kinds"]["Pod"]["synced"], told["kinds"]["Node"]["synced"]) == (False, True)


@pytest.mark.parametrize("kind", ["Pod", "pod"])
def test_it_tells_the_names_of_a_kind(mesh: ServedMesh, kind: str) -> None:
    kinds = tell(registryz, mesh, kind=kind)["kinds"]
    assert {name: told["names"] for name, told in kinds.items()} == {
        "Pod": ["shop/web-1", "shop/web-2", "store/db-1"]
    }


def test_it_tells_the_names_of_a_namespace(mesh: ServedMesh) -> None:
    kinds = tell(registryz, mesh, ns="store")["kinds"]
    assert {name: told["names"] for name, told in kinds.items() if told["count"]} == {
        "Pod": ["store/db-1"],
        "Service": ["store/db"],
    }


def test_it_tells_every_name_when_asked_for_all(mesh: ServedMesh) -> None:
    kinds = tell(registryz, mesh, full="1")["kinds"]
    assert all(len(told["names"]) == told["count"] for told in kinds.values())
    assert kinds["Node"]["names"] == ["cpu-a", "dpu-a", "plain", "spare"]


def test_it_tells_every_object_when_asked_for_all(mesh: ServedMesh) -> None:
    told = tell(registryz, mesh, full="1")["kinds"]["Service"]["objects"]
    assert told[1] == {
        "key": "store/db",
        "value": {
            "metadata": {"name": "db", "namespace": "store", "uid": ""},
            "spec": {
                "clusterIP": "10.96.0.2",
                "ports": [{"port": 80, "targetPort": 8080}],
                "selector": {"app": "db"},
            },
        },
    }


def test_all_objects_and_the_settings_are_a_capture_that_can_be_replayed(mesh: ServedMesh) -> None:
    text = json.dumps(tell(registryz, mesh, full="1")).encode()
    capture = parse_capture("capture.json", text)
    assert capture is not None
    replayed = replay_capture("capture.json", capture)
    served = {name: address.body for name, address in mesh.catalog.lookup.addresses.items()}
    assert {row.name: row.body for rows in replayed.mesh.addresses for _, row in rows.items()} == served
    assert capture.mesh == mesh.served.settings.mesh


@pytest.mark.parametrize("part", [{"ns": "shop"}, {"kind": "Pod"}])
def test_a_part_of_the_objects_is_no_capture(mesh: ServedMesh, part: dict[str, str]) -> None:
    told = tell(registryz, mesh, full="1", **part)
    assert [item["key"] for item in told["kinds"]["Pod"]["objects"]][:2] == ["shop/web-1", "shop/web-2"]
    assert parse_capture("capture.json", json.dumps(told).encode()) is None
