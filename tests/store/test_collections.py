"""Sources and indexes: what may be read, and when it may be changed."""

import pytest

from tests.helpers.graphs import groups
from xds_server.exceptions import LocalError
from xds_server.store.collection import Change, Index, Source
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry


@pytest.fixture
def graph() -> Graph:
    return Graph()


@pytest.fixture
def words(graph: Graph) -> Source[str]:
    return Source(graph, "words")


def test_a_source_is_changed_in_transactions_only(words: Source[str]) -> None:
    with pytest.raises(LocalError, match="words was changed outside a transaction"):
        words.set("a", "apple")
    assert len(words) == 0


def test_a_deletion_outside_a_transaction_is_refused_too(graph: Graph, words: Source[str]) -> None:
    with graph.transaction():
        words.set("a", "apple")
    with pytest.raises(LocalError, match="words was changed outside a transaction"):
        words.delete("a")
    assert words.get("a") == "apple"


def test_deleting_what_is_not_there_is_nothing(graph: Graph, words: Source[str]) -> None:
    told: list[object] = []
    graph.listen(words, told.append)
    with graph.transaction():
        words.delete("a")
    assert told == []


def test_a_source_reads_as_a_mapping(graph: Graph, words: Source[str]) -> None:
    with graph.transaction():
        words.set("a", "apple")
        words.set("b", "bean")
    assert (words.get("a"), words.get("c")) == ("apple", None)
    assert (list(words), len(words)) == (["a", "b"], 2)
    assert dict(words.items()) == {"a": "apple", "b": "bean"}


@pytest.mark.parametrize(
    ("before", "edits", "told"),
    [
        ({}, [("a", "x")], {"a": Change(None, "x")}),
        ({"a": "x"}, [("a", "y")], {"a": Change("x", "y")}),
        ({"a": "x"}, [("a", None)], {"a": Change("x", None)}),
        ({}, [("a", "x"), ("a", "y")], {"a": Change(None, "y")}),
        ({"a": "x"}, [("a", "y"), ("a", "z")], {"a": Change("x", "z")}),
        ({"a": "x"}, [("a", None), ("a", "y")], {"a": Change("x", "y")}),
        ({"a": "x"}, [("a", "y"), ("a", None)], {"a": Change("x", None)}),
        ({"a": "x"}, [("a", "x")], None),
        ({"a": "x"}, [("a", None), ("a", "x")], None),
        ({"a": "x"}, [("a", "y"), ("a", "x")], None),
        ({}, [("a", "x"), ("a", None)], None),
    ],
)
def test_a_transaction_tells_the_difference_it_made(
    graph: Graph,
    words: Source[str],
    before: dict[str, str],
    edits: list[tuple[str, str | None]],
    told: dict[str, Change[str]] | None,
) -> None:
    with graph.transaction():
        for key, value in before.items():
            words.set(key, value)
    heard: list[object] = []
    graph.listen(words, heard.append)
    with graph.transaction():
        for key, edit in edits:
            if edit is None:
                words.delete(key)
            else:
                words.set(key, edit)
    assert heard == ([told] if told else [])


def letters(word: str) -> tuple[str, ...]:
    return tuple(word)


def test_an_index_groups_rows_by_every_key_computed_from_them(graph: Graph, words: Source[str]) -> None:
    by_letter = Index(words, "letter", letters)
    with graph.transaction():
        words.set("1", "pea")
        words.set("0", "tea")
    assert groups(by_letter.groups) == {"p": {"1"}, "e": {"0", "1"}, "a": {"0", "1"}, "t": {"0"}}
    assert by_letter.rows("e") == ["tea", "pea"]
    assert by_letter.rows("z") == []


def test_an_index_made_late_holds_the_rows_already_there(graph: Graph, words: Source[str]) -> None:
    with graph.transaction():
        words.set("1", "pea")
    assert Index(words, "letter", letters).rows("p") == ["pea"]


def test_an_index_follows_a_row_that_changes_groups(graph: Graph, words: Source[str]) -> None:
    by_letter = Index(words, "letter", letters)
    with graph.transaction():
        words.set("1", "pea")
    with graph.transaction():
        words.set("1", "ape")
    with graph.transaction():
        words.set("1", "ale")
    assert groups(by_letter.groups) == {"a": {"1"}, "l": {"1"}, "e": {"1"}}


def test_a_row_may_name_a_group_twice(graph: Graph, words: Source[str]) -> None:
    by_letter = Index(words, "letter", letters)
    with graph.transaction():
        words.set("1", "eel")
    assert by_letter.rows("e") == ["eel"]
    with graph.transaction():
        words.delete("1")
    assert len(by_letter.groups) == 0


def test_an_index_is_named_after_its_collection(words: Source[str]) -> None:
    assert Index(words, "letter", letters).name == "words by letter"


def test_a_registry_has_a_source_for_each_kind(graph: Graph) -> None:
    registry = Registry(graph, (str, int))
    with graph.transaction():
        registry.of(int).set("one", 1)
    assert registry.of(int).get("one") == 1
    assert len(registry.of(str)) == 0
    assert [source.name for source in registry] == ["str", "int"]


def test_a_registry_names_what_is_not_synced(graph: Graph) -> None:
    registry = Registry(graph, (str, int))
    assert registry.unsynced == ["str", "int"]
    registry.of(str).synced = True
    assert registry.unsynced == ["int"]
    registry.of(int).synced = True
    assert registry.unsynced == []
