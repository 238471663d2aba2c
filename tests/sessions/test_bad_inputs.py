"""Clients that are wrong, careless or hostile: no crash, a bounded cost, no other harmed."""

from collections.abc import Callable

import pytest

from tests.helpers.addresses import ServedMesh, workload
from tests.helpers.session_pair import NODE_ID, DeltaPair, StatePair, node
from xds_server.catalog.resource import ADDRESS
from xds_server.exceptions import PeerError
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.sessions.acknowledgement import Verdict
from xds_server.sessions.session import MAX_UNKNOWN_TYPES

AnyPair = DeltaPair | StatePair
LONG = "n" * 1_000_000


@pytest.fixture
def mesh() -> ServedMesh:
    return ServedMesh(workload("a"), workload("b"))


@pytest.fixture(params=[DeltaPair, StatePair])
def pair(request: pytest.FixtureRequest, mesh: ServedMesh) -> AnyPair:
    made: AnyPair = request.param(mesh)
    return made


def encodings(pair: AnyPair) -> int:
    return pair.mesh.catalog.of(ADDRESS).encodings


@pytest.mark.parametrize("bad", [None, Node(), Node(id="")])
def test_a_first_request_without_a_node_breaks_the_protocol(pair: AnyPair, bad: Node | None) -> None:
    pair.node = bad
    with pytest.raises(PeerError, match=r"the first request has no node\.id"):
        pair.send()
    assert pair.session.subscriptions == {}


def test_only_the_first_request_needs_a_node_and_later_ones_change_nothing(pair: AnyPair) -> None:
    pair.ask()
    pair.node = node("another node", "another id")
    pair.send()
    assert (pair.session.node_id, pair.session.node_name) == (NODE_ID, "")


def test_the_node_is_taken_from_the_first_request(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh, "n1")
    pair.send()
    assert (pair.session.node_id, pair.session.node_name) == (NODE_ID, "n1")


def _number(metadata: Node) -> None:
    metadata.metadata["NODE_NAME"] = 7


def _nested(metadata: Node) -> None:
    metadata.metadata["NODE_NAME"] = {"NODE_NAME": "n1"}


def _nothing(metadata: Node) -> None:
    metadata.metadata["NODE_NAME"] = None


@pytest.mark.parametrize("fill", [_number, _nested, _nothing])
def test_a_node_name_that_is_no_text_is_no_name(pair: AnyPair, fill: Callable[[Node], None]) -> None:
    made = node()
    fill(made)
    pair.node = made
    pair.ask()
    assert pair.session.node_name == ""


def test_a_node_of_a_megabyte_leaves_a_kilobyte(pair: AnyPair) -> None:
    made = node(LONG, LONG)
    made.metadata["LABELS"] = LONG
    pair.node = made
    pair.ask()
    assert (len(pair.session.node_id), len(pair.session.node_name)) == (1_024, 1_024)


@pytest.mark.parametrize("nonce", ["never sent", LONG, "0", "-1", "\x00", "*"])
@pytest.mark.parametrize("error", [None, "no"])
def test_a_nonce_never_sent_says_nothing(pair: AnyPair, nonce: str, error: str | None) -> None:
    pair.ask()
    assert pair.send(nonce=nonce, error=error) is Verdict.STALE
    assert pair.silent
    assert pair.acknowledgements().stale == 1
    assert pair.acknowledgements().rejection == ""


def test_a_nonce_used_again_says_nothing(pair: AnyPair) -> None:
    first = pair.ask()
    assert pair.send(nonce=first.nonce) is Verdict.ACKNOWLEDGED
    assert pair.send(nonce=first.nonce, error="no") is Verdict.STALE
    assert pair.silent
    assert pair.acknowledgements().rejection == ""


def test_a_nonce_of_an_earlier_stream_says_nothing(mesh: ServedMesh) -> None:
    mesh.publish(workload("a", "v2"))
    old = DeltaPair(mesh).ask()
    mesh.publish(workload("a", "v3"))
    pair = DeltaPair(mesh)
    pair.ask()
    assert pair.send(nonce=old.nonce) is Verdict.STALE


def test_an_acknowledgement_of_nothing_opens_the_type(pair: AnyPair) -> None:
    """The first request of a type subscribes, whatever else it carries."""
    assert pair.send(nonce="of nothing", error="no") is Verdict.NONE
    assert len(pair.expect().entries) == 2


def test_a_storm_of_rejections_provokes_nothing_and_costs_no_encoding(pair: AnyPair) -> None:
    response = pair.ask()
    before = encodings(pair)
    for _ in range(1_000):
        pair.send(nonce=response.nonce, error="no")
        assert pair.silent
    assert encodings(pair) == before
    assert (pair.acknowledgements().rejected, pair.acknowledgements().stale) == (1, 999)


def test_a_rejection_of_every_response_provokes_none(pair: AnyPair) -> None:
    response = pair.ask()
    before = encodings(pair)
    for number in range(50):
        pair.send(nonce=response.nonce, error="no")
        assert pair.silent
        pair.mesh.publish(workload("a", str(number)))
        response = pair.expect()
    assert encodings(pair) - before == 50


def test_an_empty_request_is_a_request_for_a_type_without_a_name(pair: AnyPair) -> None:
    pair.send(type_url="")
    response = pair.expect()
    assert (response.type_url, response.entries) == ("", [])


def test_an_unknown_type_is_answered_empty_once_and_counted(pair: AnyPair) -> None:
    pair.send(type_url="unknown")
    response = pair.expect()
    assert (response.type_url, response.entries, response.removed) == ("unknown", [], [])
    assert pair.session.unknown_types == 1
    pair.send(type_url="unknown", nonce=response.nonce)
    pair.mesh.publish(workload("c"))
    assert pair.silent
    assert pair.session.unknown_types == 1


def test_names_of_an_unknown_type_do_not_exist(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send(["a"], type_url="unknown")
    assert pair.expect().removed == ["a"]
    pair.send(["b"], type_url="unknown")
    assert pair.expect().removed == ["b"]


def test_a_client_that_plays_with_types_is_stopped(pair: AnyPair) -> None:
    for number in range(MAX_UNKNOWN_TYPES):
        pair.send(type_url=f"unknown {number}")
    with pytest.raises(PeerError, match=f"more than {MAX_UNKNOWN_TYPES} types that are not served"):
        pair.send(type_url="one more")
    assert len(pair.session.subscriptions) == MAX_UNKNOWN_TYPES


def test_a_type_url_of_a_megabyte_is_not_kept(pair: AnyPair) -> None:
    with pytest.raises(PeerError, match="a type URL of 1000000 characters: expected at most 1024"):
        pair.send(type_url=LONG)
    assert pair.session.subscriptions == {}


@pytest.mark.parametrize("names", [["a", "a", "a"], ["*", "a"], ["a", "*", "*"]])
def test_duplicate_names_and_the_star_beside_names_are_sent_once(pair: AnyPair, names: list[str]) -> None:
    bodies = [entry.body for entry in pair.ask(names).entries]
    assert len(bodies) == len(set(bodies)) == (2 if "*" in names else 1)


def test_leaving_a_name_never_asked_for_is_nothing(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.ask(["a"])
    pair.send([], ["unknown", "b", "*"])
    assert pair.silent
    mesh.publish(workload("a", "v2"))
    assert pair.expect().names == ["a"]


@pytest.mark.parametrize("unsubscribe", [["*"], ["a"], ["unknown"]])
def test_leaving_a_name_with_the_first_request_is_still_a_wildcard(
    mesh: ServedMesh, unsubscribe: list[str]
) -> None:
    assert DeltaPair(mesh).ask([], unsubscribe).names == ["a", "b"]


MANY = [f"/10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in range(100_000)]


def test_very_many_names_are_answered_once_in_one_response(mesh: ServedMesh) -> None:
    mesh.publish(workload("c", ips=["10.0.0.1"]))
    pair = DeltaPair(mesh)
    response = pair.ask(["*", *MANY], ["*"])
    assert (response.names, len(response.removed)) == (["c"], len(MANY) - 1)
    before = encodings(pair)
    mesh.publish(workload("b", "v2"))
    assert pair.silent
    assert encodings(pair) == before


def test_very_many_names_of_a_state_of_the_world_are_answered_once(mesh: ServedMesh) -> None:
    mesh.publish(workload("c", ips=["10.0.0.1"]))
    pair = StatePair(mesh)
    assert len(pair.ask(MANY).entries) == 1
    mesh.publish(workload("b", "v2"))
    assert pair.silent


def test_very_many_held_names_are_removed_once_and_forgotten(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    response = pair.ask(versions=dict.fromkeys(MANY, "x"))
    assert (response.names, len(response.removed)) == (["a", "b"], len(MANY))
    assert pair.session.subscriptions[ADDRESS].held == {}
    assert pair.session.subscriptions[ADDRESS].names == set()


def test_a_bad_client_harms_no_other(pair: AnyPair) -> None:
    other = DeltaPair(pair.mesh)
    other.ask()
    pair.ask(["a"])
    for number in range(20):
        pair.send([f"unknown {number}"], nonce=LONG, error="no")
        pair.receive()
    assert other.silent
    pair.mesh.publish(workload("a", "v2"))
    assert other.expect().names == ["a"]
