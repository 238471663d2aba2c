"""Bytes of the API server become rows, problems and versions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.cluster.request import ApiError
from xds_server.exceptions import ClusterError
from xds_server.objects.kubernetes import Namespace, Pod
from xds_server.sources.kubernetes.decode import INITIAL_EVENTS_END, Batch, Decoder
from xds_server.sources.kubernetes.kinds import WatchedKind, mesh_kinds

PODS = next(kind for kind in mesh_kinds() if kind.type is Pod)
NAMESPACES = next(kind for kind in mesh_kinds() if kind.type is Namespace)


def pod(name: str, version: int, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def line(kind: str, item: object) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode()


def bookmark(version: int, **annotations: str) -> bytes:
    metadata = {"resourceVersion": str(version), "annotations": annotations}
    return line("BOOKMARK", {"kind": "Pod", "metadata": metadata, "spec": {}})


def events(*lines: bytes, after: str = "1", kind: WatchedKind = PODS) -> Batch:
    return Decoder(kind).events(lines, after)


def test_added_and_modified_objects_are_rows_and_deleted_ones_are_gone() -> None:
    batch = events(
        line("ADDED", pod("a", 2, nodeName="n1")),
        line("MODIFIED", pod("b", 3)),
        line("DELETED", pod("c", 4)),
    )
    assert [(row.key, row.item is not None) for row in batch.rows] == [
        ("shop/a", True),
        ("shop/b", True),
        ("shop/c", False),
    ]
    assert isinstance(batch.rows[0].item, Pod)
    assert batch.rows[0].item.spec.node_name == "n1"
    assert batch.version == "4"
    assert batch.ordered


def test_an_object_of_a_kind_without_namespaces_goes_by_its_name() -> None:
    batch = events(line("DELETED", {"metadata": {"name": "shop", "resourceVersion": "9"}}), kind=NAMESPACES)
    assert batch.rows[0].key == "shop"


def test_a_bookmark_is_a_version_and_no_row() -> None:
    batch = events(line("ADDED", pod("a", 2)), bookmark(70))
    assert (len(batch.rows), batch.version, batch.listed) == (1, "70", False)


def test_a_streamed_list_ends_with_its_bookmark_and_has_no_order_before() -> None:
    lines = [
        line("ADDED", pod("a", 9)),
        line("ADDED", pod("b", 3)),
        bookmark(12, **{INITIAL_EVENTS_END: "true"}),
    ]
    batch = events(*lines, after="")
    assert (len(batch.rows), batch.version, batch.listed, batch.ordered) == (2, "12", True, True)


@pytest.mark.parametrize(
    ("versions", "ordered"),
    [((2, 3, 9), True), ((2, 2), False), ((3, 2), False), ((1,), False), ((9, 8, 10), False)],
)
def test_events_whose_versions_do_not_grow_are_told(versions: tuple[int, ...], ordered: bool) -> None:
    batch = events(*(line("MODIFIED", pod("a", version)) for version in versions))
    assert batch.ordered is ordered


def test_versions_that_are_no_numbers_are_passed_on_as_they_come() -> None:
    item = pod("a", 0)
    item["metadata"]["resourceVersion"] = "zz-9"
    batch = events(line("ADDED", item), after="aa")
    assert (batch.version, batch.ordered) == ("zz-9", True)


def test_an_object_that_cannot_be_used_is_a_problem_and_the_others_go_on() -> None:
    bad = pod("bad", 2)
    bad["spec"] = {"containers": [{"ports": [{"containerPort": "http"}]}]}
    batch = events(line("ADDED", bad), line("ADDED", pod("good", 3)))
    assert [row.key for row in batch.rows] == ["shop/good"]
    told = str(batch.problems["shop/bad"])
    assert told.startswith(
        "the Kubernetes API: Pod shop/bad spec.containers[0].ports[0].containerPort is 'http'"
    )
    assert "expected integer" in told
    assert batch.version == "3"


@pytest.mark.parametrize(("code", "reason"), [(410, "Expired"), (500, "InternalError")])
def test_an_error_in_the_stream_is_the_clusters_with_its_code(code: int, reason: str) -> None:
    status = {"kind": "Status", "message": "too old", "reason": reason, "code": code}
    with pytest.raises(ApiError, match="too old") as caught:
        events(line("ADDED", pod("a", 2)), line("ERROR", status))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"type": "ADDED", "obj',
        b"[]",
        b"null",
        b'{"type": "RENAMED", "object": {"metadata": {}}}',
        b'{"type": "DELETED", "object": []}',
        b'{"type": "ADDED", "object": {"metadata": {"name": "\xff"}}}',
        b'{"object": {}}',
    ],
)
def test_what_is_no_event_breaks_the_watch(text: bytes) -> None:
    with pytest.raises(ClusterError):
        events(text)


def test_a_page_is_its_objects_its_version_and_the_way_to_the_next() -> None:
    page = {"metadata": {"resourceVersion": "7", "continue": "more"}, "items": [pod("a", 2), pod("b", 9)]}
    batch = Decoder(PODS).page(json.dumps(page).encode())
    assert [row.key for row in batch.rows] == ["shop/a", "shop/b"]
    assert (batch.version, batch.more) == ("7", "more")


@pytest.mark.parametrize("items", [None, []])
def test_a_page_may_be_empty(items: object) -> None:
    page = {"metadata": {"resourceVersion": "7"}, "items": items}
    batch = Decoder(PODS).page(json.dumps(page).encode())
    assert (batch.rows, batch.more) == ([], "")


@pytest.mark.parametrize(
    "text", [b"", b'{"metadata": {"resourceVersion": "7"}, "items": [{"metad', b"{}", b"[]"]
)
def test_what_is_no_page_is_the_clusters_fault(text: bytes) -> None:
    with pytest.raises(ClusterError, match="a list of Pod cannot be read"):
        Decoder(PODS).page(text)


@given(
    st.binary(max_size=200) | st.text(max_size=50).map(lambda text: line(text, {"metadata": {"name": text}}))
)
def test_whatever_comes_is_an_event_or_the_clusters_fault(text: bytes) -> None:
    try:
        events(text)
    except ClusterError:
        return
    json.loads(text)
