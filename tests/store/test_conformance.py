"""What every kind of collection promises, whatever it is made of."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.graphs import assert_indexes_are_right, assert_nothing_is_left, groups, runs
from tests.store.kinds import KINDS, Kind, World, initial
from xds_server.store.collection import Change, Collection, Index
from xds_server.store.derive import Fetch, Mapped

Edits = dict[str, str | None]


class Rig:
    """A world with one collection of a kind, an index of it, and a listener that keeps a replica."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.world = World()
        self.collection: Collection[str] = kind.make(self.world)
        self.index = Index(self.collection, "initial", initial)
        self.inputs: dict[str, str] = {}
        self.others: dict[str, str] = {}
        self.replica: dict[str, str] = {}
        self.told = 0
        self.world.graph.listen(self.collection, self._hear)

    def _hear(self, changes: Mapping[str, Change[str]]) -> None:
        self.told += 1
        assert changes
        for key, (old, new) in changes.items():
            assert old != new
            assert self.replica.pop(key, None) == old
            if new is not None:
                self.replica[key] = new

    def edit(self, inputs: Edits, others: Edits | None = None) -> int:
        """Edit, check the promises that hold after any edit, and return how many functions ran."""
        before, told, ran = dict(self.replica), self.told, sum(runs(self.world.graph).values())
        self.world.edit(inputs, others or {})
        for model, edits in ((self.inputs, inputs), (self.others, others or {})):
            model.update({key: word for key, word in edits.items() if word is not None})
            for key in (key for key, word in edits.items() if word is None):
                model.pop(key, None)
        expected = self.kind.expected(self.inputs, self.others)
        assert dict(self.collection.items()) == expected
        assert self.replica == expected
        assert self.told - told == (before != expected)
        assert_indexes_are_right(self.world.graph)
        return sum(runs(self.world.graph).values()) - ran


@pytest.fixture(params=KINDS, ids=str)
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(request.param)


FULL: tuple[Edits, Edits] = ({"1": "a", "2": "b", "3": "b"}, {"a": "apple", "b": "bean", "c": "axe"})


def test_rows_follow_their_inputs(rig: Rig) -> None:
    rig.edit({"1": "a"})
    rig.edit({"1": "ab", "2": "b"})
    rig.edit({"1": None})
    rig.edit({"1": "c", "2": None})
    rig.edit({"1": ""})


def test_rows_follow_what_was_fetched_also_when_nothing_was_found(rig: Rig) -> None:
    rig.edit({"1": "a", "2": "b"})
    rig.edit({}, {"a": "apple", "z": "b"})
    rig.edit({}, {"a": "bread", "c": "axe"})
    rig.edit({}, {"z": None, "c": "bee"})
    rig.edit({}, {"a": None, "c": None})


def test_rows_read_as_a_mapping(rig: Rig) -> None:
    rig.edit(*FULL)
    rows = dict(rig.collection.items())
    assert rows
    assert list(rig.collection) == list(rows)
    assert len(rig.collection) == len(rows)
    assert {key: rig.collection.get(key) for key in rows} == rows
    assert rig.collection.get("nothing like that") is None


def test_an_equal_input_runs_nothing_and_is_told_to_nobody(rig: Rig) -> None:
    rig.edit(*FULL)
    told = rig.told
    assert rig.edit(*FULL) == 0
    assert rig.told == told


def test_what_is_set_and_taken_back_in_one_transaction_is_nothing(rig: Rig) -> None:
    rig.edit(*FULL)
    told, ran = rig.told, runs(rig.world.graph)
    with rig.world.graph.transaction():
        rig.world.inputs.set("1", "z")
        rig.world.inputs.set("9", "z")
        rig.world.others.delete("a")
        rig.world.inputs.set("1", "a")
        rig.world.inputs.delete("9")
        rig.world.others.set("a", "apple")
    assert (rig.told, runs(rig.world.graph)) == (told, ran)


@pytest.mark.parametrize("size", [3, 60])
def test_an_edited_input_reruns_its_own_functions_whatever_the_size(rig: Rig, size: int) -> None:
    rig.edit({str(number): "a" for number in range(size)}, {"a": "apple", "b": "bean"})
    assert rig.edit({"1": "b"}) == rig.kind.depth
    assert rig.edit({"1": None}) == 0


@pytest.mark.parametrize("size", [3, 60])
def test_an_edited_other_reruns_its_readers_alone(rig: Rig, size: int) -> None:
    words: Edits = {str(number): "c" for number in range(size)}
    rig.edit(words | {"x": "a", "y": "b"}, {"a": "apple", "b": "bean", "c": "cat", "x": "axe"})
    own = rig.collection.name
    before = runs(rig.world.graph).get(own, 0)
    rig.edit({}, {"a": "acorn"})
    assert runs(rig.world.graph).get(own, 0) - before == int(rig.kind.fetches)
    rig.edit({}, {"nobody": "reads this"})
    assert runs(rig.world.graph).get(own, 0) - before == int(rig.kind.fetches)


def test_whoever_fetches_from_it_is_rerun_when_it_changes_and_only_then(rig: Rig) -> None:
    rig.edit(*FULL)
    watched = next(iter(rig.collection))
    group = (rig.collection.get(watched) or "")[0]

    def by_key(fetch: Fetch, _key: str, _word: str) -> str:
        return fetch.one(rig.collection, watched) or "-"

    def by_group(fetch: Fetch, _key: str, _word: str) -> str:
        return "+".join(fetch.group(rig.index, group))

    rig.world.edit({}, {"reader": "?"})
    readers = Mapped(rig.world.graph, "by key", rig.world.others, by_key)
    grouped = Mapped(rig.world.graph, "by group", rig.world.others, by_group)
    rig.edit({})
    assert readers.get("reader") == rig.collection.get(watched)
    counts = readers.runs, grouped.runs
    rig.edit({"9": "zzz"})
    assert (readers.runs, grouped.runs) == counts
    rig.edit(dict.fromkeys(FULL[0]))
    assert (readers.get("reader"), grouped.get("reader")) == ("-", "")
    rig.edit(FULL[0])
    assert readers.get("reader") == rig.collection.get(watched)
    assert grouped.get("reader") == "+".join(rig.index.rows(group))


def test_nothing_is_left_when_everything_is_deleted(rig: Rig) -> None:
    rig.edit(*FULL)
    rig.edit({"1": "abc", "4": "?"}, {"a": "bread", "c": None})
    rig.edit(dict.fromkeys((*FULL[0], "4")), dict.fromkeys(FULL[1]))
    assert_nothing_is_left(rig.world.graph)


def test_an_index_made_late_is_right_at_once(rig: Rig) -> None:
    rig.edit(*FULL)
    late = Index(rig.collection, "initial", initial)
    assert groups(late.groups) == groups(rig.index.groups)


WORDS = st.text(alphabet="abc?", max_size=3)
EDITS = st.dictionaries(st.sampled_from(["1", "2", "3", "a", "b", "ab"]), st.none() | WORDS, max_size=4)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(EDITS, EDITS), max_size=8))
def test_rows_are_what_the_sources_say_after_any_edits(kind: Kind, edits: list[tuple[Edits, Edits]]) -> None:
    rig = Rig(kind)
    for inputs, others in edits:
        rig.edit(inputs, others)
    rig.edit(dict.fromkeys(list(rig.inputs)), dict.fromkeys(list(rig.others)))
    assert_nothing_is_left(rig.world.graph)
