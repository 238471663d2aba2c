"""One row for each group of an index: it says what its members come to, and changes only when that does."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.graphs import assert_nothing_is_left
from xds_server.store.collection import Index, Source
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph
from xds_server.store.grouped import Grouped


def initials(word: str) -> tuple[str, ...]:
    """A word is in the groups of its first two letters."""
    return tuple(word[:2])


def shortest(words: list[str]) -> str | None:
    """None where the group says nothing."""
    found = min(words, key=len)
    return None if "-" in found else found


class World:
    def __init__(self) -> None:
        self.graph = Graph()
        self.words: Source[str] = Source(self.graph, "words")
        index = Index(self.words, "initials", initials)
        self.grouped: Grouped[str, str] = Grouped(self.graph, "shortest", index, shortest)
        self.askers: Source[str] = Source(self.graph, "askers")
        self.asked: Mapped[str, str] = Mapped(self.graph, "asked", self.askers, self._ask)

    def edit(self, words: Mapping[str, str | None]) -> None:
        with self.graph.transaction():
            for key, word in words.items():
                if word is None:
                    self.words.delete(key)
                else:
                    self.words.set(key, word)

    def ask(self, letter: str) -> None:
        with self.graph.transaction():
            self.askers.set(letter, letter)

    def _ask(self, fetch: Fetch, _key: str, letter: str) -> str:
        return fetch.one(self.grouped, letter) or "nothing"


EDITS = st.dictionaries(st.sampled_from("123"), st.none() | st.text("ab-", max_size=3))


@given(st.lists(EDITS, max_size=6))
def test_it_holds_what_grouping_afresh_gives(edits: list[dict[str, str | None]]) -> None:
    world = World()
    held: dict[str, str] = {}
    for edit in edits:
        world.edit(edit)
        for key, word in edit.items():
            held.pop(key, None)
            if word is not None:
                held[key] = word
        members = {
            letter: [word for _, word in sorted(held.items()) if letter in word[:2]] for letter in "ab-"
        }
        summaries = {letter: shortest(words) for letter, words in members.items() if words}
        assert dict(world.grouped.items()) == {
            key: text for key, text in summaries.items() if text is not None
        }
    world.edit(dict.fromkeys(held))
    assert_nothing_is_left(world.graph)


def test_readers_are_rerun_when_the_summary_changes_and_only_then() -> None:
    world = World()
    world.edit({"1": "abc"})
    world.ask("a")
    for word, runs, answer in (("abcd", 1, "abc"), ("ab", 2, "ab"), ("b", 3, "abc")):
        world.edit({"2": word})
        assert (world.asked.runs, world.asked.rows["a"]) == (runs, answer)
    world.edit({"1": None})
    assert world.asked.rows["a"] == "nothing"


def test_it_starts_from_what_is_there_already() -> None:
    world = World()
    world.edit({"1": "abc"})
    late: Grouped[str, str] = Grouped(world.graph, "late", world.words.indexes[0], shortest)
    world.edit({})
    assert dict(late.items()) == {"a": "abc", "b": "abc"}
