"""One type: its versions, its shared responses, and what they cost."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.wire import read_delta, read_state
from xds_server.catalog.encode import content_version
from xds_server.catalog.resource import ADDRESS
from xds_server.catalog.served_type import ServedType

Bodies = dict[str, bytes | None]


def served(*publications: Bodies, log_capacity: int = 100) -> ServedType:
    kind = ServedType(ADDRESS, log_capacity)
    for position, bodies in enumerate(publications, 1):
        kind.apply(bodies, position)
    return kind


def test_everything_is_one_response_with_every_resource() -> None:
    kind = served({"a": b"1", "b": b"2"}, {"a": None, "c": b""})
    response = read_delta(kind.everything().payload)
    assert {entry.name: entry.body for entry in response.entries} == {"b": b"2", "c": b""}
    assert response.removed == []
    assert response.type_url == ADDRESS
    assert {entry.type_url for entry in response.entries} == {ADDRESS}


@pytest.mark.parametrize(
    ("cursor", "changed", "removed"),
    [(0, ["b", "c"], ["a"]), (1, ["c"], ["a"]), (2, ["c"], ["a"]), (3, ["c"], []), (4, [], [])],
)
def test_changes_bring_a_cursor_to_the_present(cursor: int, changed: list[str], removed: list[str]) -> None:
    kind = served({"a": b"1", "b": b"2"}, {"a": b"3"}, {"a": None}, {"c": b"4"})
    response = read_delta(kind.changes(cursor).payload)
    assert (response.names, response.removed) == (changed, removed)


def test_a_name_is_never_both_changed_and_removed() -> None:
    response = read_delta(served({"a": b"1"}, {"a": None}, {"a": b"2"}).changes(0).payload)
    assert (response.names, response.removed) == (["a"], [])


def test_what_changed_and_changed_back_is_a_change() -> None:
    """The log knows no past states: a client that saw the middle one must be told."""
    assert read_delta(served({"a": b"1"}, {"a": b"2"}, {"a": b"1"}).changes(2).payload).names == ["a"]


def test_equal_bodies_are_no_change_of_the_type() -> None:
    kind = served({"a": b"1"})
    kind.apply({"a": b"1", "never there": None}, 2)
    assert (kind.position, kind.changed_since(1)) == (1, [])


def test_a_response_counts_what_it_carries() -> None:
    kind = served({"a": b"1", "b": b"1"}, {"a": None, "c": b"1"})
    assert kind.changes(1)[2:] == (1, 1)
    assert kind.everything()[2:] == (2, 0)
    assert kind.state()[2:] == (2, 0)


def test_shared_responses_are_encoded_once_a_change() -> None:
    kind = served({"a": b"1"}, {"a": b"2"})
    for _ in range(100):
        kind.changes(1)
        kind.everything()
        kind.state()
    assert kind.encodings == 3
    kind.apply({"a": b"3"}, 3)
    for _ in range(100):
        kind.changes(2)
    assert kind.encodings == 4


def test_a_publication_that_changes_nothing_keeps_what_is_encoded() -> None:
    kind = served({"a": b"1"})
    kind.everything()
    kind.apply({"a": b"1"}, 2)
    kind.everything()
    assert kind.encodings == 1


def test_shared_responses_are_of_the_present() -> None:
    kind = served({"a": b"1"})
    kind.everything(), kind.state(), kind.changes(0)
    kind.apply({"a": b"2"}, 2)
    assert [entry.body for entry in read_delta(kind.everything().payload).entries] == [b"2"]
    assert [entry.body for entry in read_state(kind.state().payload).entries] == [b"2"]
    assert [entry.body for entry in read_delta(kind.changes(0).payload).entries] == [b"2"]


def test_a_shared_nonce_is_new_at_every_position() -> None:
    kind = served({"a": b"1"})
    nonces = {kind.everything().nonce}
    for position in range(2, 40):
        kind.apply({"a": str(position).encode()}, position)
        nonces.add(kind.changes(position - 1).nonce)
    assert len(nonces) == 39
    assert all(nonces)


def test_a_response_for_one_client_has_what_it_was_asked_for() -> None:
    kind = served({"a": b"1", "b": b"2"})
    response = read_delta(kind.some(["b"], ["x", "y"], "nonce").payload)
    assert (response.names, response.removed, response.nonce) == (["b"], ["x", "y"], "nonce")
    state = read_state(kind.some_of_state([kind.resources["b"]], "nonce").payload)
    assert ([entry.body for entry in state.entries], state.nonce) == ([b"2"], "nonce")


def test_an_empty_type_has_empty_responses() -> None:
    kind = served()
    assert read_delta(kind.everything().payload).entries == []
    assert read_state(kind.state().payload).entries == []
    assert kind.changed_since(0) == []


def test_versions_are_digests_of_the_bodies() -> None:
    kind = served({"a": b"1", "b": b"1", "c": b"2"})
    assert kind.versions == {
        "a": content_version(b"1"),
        "b": content_version(b"1"),
        "c": content_version(b"2"),
    }
    assert {name: item.version for name, item in kind.resources.items()} == kind.versions


def test_a_cursor_below_the_floor_cannot_follow() -> None:
    kind = served({"a": b"1"}, {"b": b"1"}, {"c": b"1"}, log_capacity=2)
    assert [kind.can_follow(cursor) for cursor in range(4)] == [False, True, True, True]


BODIES = st.none() | st.sampled_from([b"", b"1", b"2"])
HISTORIES = st.lists(
    st.dictionaries(st.sampled_from("abcde"), BODIES, min_size=1, max_size=4), min_size=1, max_size=8
)


@settings(max_examples=100, deadline=None)
@given(HISTORIES, st.randoms(use_true_random=False))
def test_versions_tell_the_content_alone_not_how_it_came_about(history: list[Bodies], random: Random) -> None:
    """Equal on every replica and after a restart: so a client may return to any of them."""
    first = served(*history)
    present: Bodies = {name: item.entry[item.packed_at :] for name, item in first.resources.items()}
    final: Bodies = {}
    for bodies in history:
        final |= bodies
    names = sorted(final)
    random.shuffle(names)
    second = served(*({name: final[name]} for name in names))
    assert first.versions == second.versions
    assert first.version == second.version
    assert present == {name: item.packed for name, item in second.resources.items()}


@settings(max_examples=100, deadline=None)
@given(HISTORIES, HISTORIES)
def test_the_version_of_a_type_differs_with_its_content(left: list[Bodies], right: list[Bodies]) -> None:
    first, second = served(*left), served(*right)
    assert (first.version == second.version) == (first.versions == second.versions)


@settings(max_examples=100, deadline=None)
@given(HISTORIES, st.integers(0, 7))
def test_a_client_that_applies_changes_from_any_cursor_holds_the_present(
    history: list[Bodies], cursor: int
) -> None:
    kind = ServedType(ADDRESS)
    held: dict[str, str] = {}
    for position, bodies in enumerate(history, 1):
        if position == cursor + 1:
            held = dict(kind.versions)
        kind.apply(bodies, position)
    response = read_delta(kind.changes(cursor).payload)
    held |= {entry.name: entry.version for entry in response.entries}
    for name in response.removed:
        held.pop(name, None)
    assert held == (kind.versions if cursor < len(history) else {})
