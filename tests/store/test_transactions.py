"""A transaction carries a change through the whole graph, once, whatever happens inside it."""

import pytest

from tests.helpers.graphs import groups
from xds_server.exceptions import LocalError
from xds_server.store.collection import Change, Index, Source
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph


def test_transactions_do_not_nest() -> None:
    graph = Graph()
    with (
        graph.transaction(),
        pytest.raises(LocalError, match="transactions do not nest"),
        graph.transaction(),
    ):
        pass


def test_a_refused_nested_transaction_leaves_the_outer_one_open() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    with graph.transaction():
        with pytest.raises(LocalError), graph.transaction():
            pass
        numbers.set("a", 1)
    assert numbers.get("a") == 1


def test_what_was_set_before_a_transaction_failed_is_derived_all_the_same() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    doubles = Mapped(graph, "doubles", numbers, lambda _fetch, _key, number: number * 2)
    with pytest.raises(KeyError), graph.transaction():
        numbers.set("a", 1)
        raise KeyError
    assert doubles.get("a") == 2
    assert not graph.in_transaction


def test_listeners_are_told_once_when_every_collection_is_current() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    doubles = Mapped(graph, "doubles", numbers, lambda _fetch, _key, number: number * 2)
    told: list[tuple[str, object, object]] = []
    graph.listen(numbers, lambda changes: told.append(("numbers", changes, doubles.get("a"))))
    graph.listen(doubles, lambda changes: told.append(("doubles", changes, doubles.get("a"))))
    with graph.transaction():
        numbers.set("a", 1)
        numbers.set("b", 5)
    assert told == [
        ("numbers", {"a": Change(None, 1), "b": Change(None, 5)}, 2),
        ("doubles", {"a": Change(None, 2), "b": Change(None, 10)}, 2),
    ]


def test_every_listener_of_a_collection_is_told() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    told: list[str] = []
    graph.listen(numbers, lambda _: told.append("first"))
    graph.listen(numbers, lambda _: told.append("second"))
    with graph.transaction():
        numbers.set("a", 1)
    assert told == ["first", "second"]


def test_a_listener_may_begin_the_next_transaction() -> None:
    graph = Graph()
    asked: Source[int] = Source(graph, "asked")
    answered: Source[int] = Source(graph, "answered")

    def answer(changes: object) -> None:
        with graph.transaction():
            answered.set("a", (asked.get("a") or 0) + 1)

    graph.listen(asked, answer)
    with graph.transaction():
        asked.set("a", 1)
    assert answered.get("a") == 2


def test_an_empty_transaction_runs_nothing_and_tells_nobody() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    doubles = Mapped(graph, "doubles", numbers, lambda _fetch, _key, number: number * 2)
    with graph.transaction():
        numbers.set("a", 1)
    told: list[object] = []
    graph.listen(doubles, told.append)
    with graph.transaction():
        pass
    assert (told, doubles.runs) == ([], 1)


def test_a_collection_derived_late_is_filled_by_the_next_transaction() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    with graph.transaction():
        numbers.set("a", 1)
    doubles = Mapped(graph, "doubles", numbers, lambda _fetch, _key, number: number * 2)
    with graph.transaction():
        pass
    assert dict(doubles.items()) == {"a": 2}


def test_a_function_sees_one_state_of_everything_it_fetches() -> None:
    """Both sources change in one transaction: nobody may see one without the other."""
    graph = Graph()
    left: Source[int] = Source(graph, "left")
    right: Source[int] = Source(graph, "right")
    rights = Index(right, "all", lambda _: ("all",))
    seen: list[tuple[int, int | None, list[int]]] = []

    def pair(fetch: Fetch, key: str, number: int) -> int:
        seen.append((number, fetch.one(right, key), fetch.group(rights, "all")))
        return number

    Mapped(graph, "pairs", left, pair)
    for number in range(3):
        with graph.transaction():
            left.set("a", number)
            right.set("a", number)
    assert seen == [(0, 0, [0]), (1, 1, [1]), (2, 2, [2])]


def test_a_row_whose_groups_cannot_be_computed_is_in_none_and_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    tenths = Index(numbers, "tenth", lambda number: (str(10 // number),))
    with graph.transaction():
        numbers.set("a", 0)
        numbers.set("b", 5)
    assert "numbers by tenth failed for a row" in caplog.text
    assert groups(tenths.groups) == {"2": {"b"}}
    with graph.transaction():
        numbers.set("a", 10)
    assert groups(tenths.groups) == {"1": {"a"}, "2": {"b"}}
    with graph.transaction():
        numbers.set("a", 0)
    assert groups(tenths.groups) == {"2": {"b"}}
