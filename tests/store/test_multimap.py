"""MultiMap: a key with its members, told apart from a dictionary of sets by its size alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from xds_server.store.multimap import MultiMap

KEYS = st.sampled_from(["", "a", "b"])
MEMBERS = st.sampled_from(["", "x", "y", "z"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "discard"]), KEYS, MEMBERS), max_size=30))
def test_it_is_a_dictionary_of_sets_without_empty_ones(edits: list[tuple[str, str, str]]) -> None:
    members = MultiMap()
    model: dict[str, set[str]] = {}
    for edit, key, member in edits:
        getattr(members, edit)(key, member)
        getattr(model.setdefault(key, set()), edit)(member)
        model = {key: held for key, held in model.items() if held}
        assert {key: set(members.get(key)) for key in members} == model
        assert len(members) == len(model)
        assert sum(len(members.get(key)) for key in members) == sum(map(len, model.values()))


def test_an_unknown_key_has_no_members() -> None:
    assert list(MultiMap().get("a")) == []


def test_a_single_member_is_held_without_a_set() -> None:
    members = MultiMap()
    members.add("a", "x")
    members.add("a", "x")
    assert members._members == {"a": "x"}
