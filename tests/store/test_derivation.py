"""The rules of derivation that no comparison of rows can show: problems, failures, and what reruns."""

from collections.abc import Mapping

import pytest

from tests.helpers.graphs import assert_nothing_is_left, groups
from xds_server.exceptions import InputError
from xds_server.store.collection import Change, Index, Source
from xds_server.store.derive import Expanded, Fetch, Mapped
from xds_server.store.graph import Graph


class Shares:
    """Shares of 60: 13 is a fault of the input, 0 meets a bug of ours, what is above a limit is cut to it."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.numbers: Source[int] = Source(self.graph, "numbers")
        self.limits: Source[int] = Source(self.graph, "limits")
        self.one = Mapped(self.graph, "one", self.numbers, self._share)
        self.many = Expanded(self.graph, "many", self.numbers, self._shares)
        self.told: list[object] = []
        self.graph.listen(self.one, self.told.append)

    def _share(self, fetch: Fetch, _key: str, number: int) -> int:
        limit = fetch.one(self.limits, "limit")
        if number == 13:
            raise InputError("13 is unlucky")
        if limit is not None and number > limit:
            fetch.note(f"{number} is cut to {limit}")
            number = limit
        return 60 // number

    def _shares(self, fetch: Fetch, key: str, number: int) -> dict[str, int]:
        share = self._share(fetch, key, number)
        return {"whole": share, "half": share // 2}

    def set(self, **rows: int) -> None:
        with self.graph.transaction():
            for key, number in rows.items():
                (self.limits if key == "limit" else self.numbers).set(key, number)

    def delete(self, *keys: str) -> None:
        with self.graph.transaction():
            for key in keys:
                (self.limits if key == "limit" else self.numbers).delete(key)

    def problem(self, key: str) -> str | None:
        """The problem of a row, which both collections must tell alike."""
        assert self.one.problems.get(key) == self.many.problems.get(key)
        return self.one.problems.get(key)

    def share(self, key: str) -> int | None:
        """The share of a row, which both collections must hold alike."""
        share = self.one.get(key)
        expected = {} if share is None else {f"{key}/whole": share, f"{key}/half": share // 2}
        assert {own: row for own, row in self.many.items() if own.startswith(f"{key}/")} == expected
        return share


@pytest.fixture
def shares() -> Shares:
    return Shares()


def test_an_unusable_input_has_no_row_and_its_problem_is_kept(shares: Shares) -> None:
    shares.set(a=13, b=2)
    assert (shares.share("a"), shares.problem("a")) == (None, "13 is unlucky")
    assert (shares.share("b"), shares.problem("b")) == (30, None)


def test_an_input_that_becomes_unusable_loses_its_row(shares: Shares) -> None:
    shares.set(a=2)
    shares.set(a=13)
    assert (shares.share("a"), shares.problem("a")) == (None, "13 is unlucky")


def test_a_problem_is_cleared_when_its_input_is_mended(shares: Shares) -> None:
    shares.set(a=13)
    shares.set(a=3)
    assert (shares.share("a"), shares.problem("a")) == (20, None)


@pytest.mark.parametrize("number", [13, 0, 9])
def test_a_problem_is_cleared_when_its_input_is_deleted(shares: Shares, number: int) -> None:
    shares.set(a=2, limit=5)
    shares.set(a=number)
    assert shares.problem("a")
    shares.delete("a", "limit")
    assert (shares.one.problems, shares.many.problems) == ({}, {})
    assert_nothing_is_left(shares.graph)


def test_a_note_is_kept_with_a_row_that_is_used_in_part(shares: Shares) -> None:
    shares.set(a=9, limit=5)
    assert (shares.share("a"), shares.problem("a")) == (12, "9 is cut to 5")
    shares.delete("limit")
    assert (shares.share("a"), shares.problem("a")) == (6, None)


def test_several_notes_of_one_row_are_one_problem() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")

    def complain(fetch: Fetch, _key: str, number: int) -> int:
        fetch.note("first")
        fetch.note("second")
        return number

    complaining = Mapped(graph, "complaining", numbers, complain)
    with graph.transaction():
        numbers.set("a", 1)
    assert complaining.problems == {"a": "first; second"}


def test_a_bug_leaves_the_last_good_result_and_is_told(
    shares: Shares, caplog: pytest.LogCaptureFixture
) -> None:
    shares.set(a=2, b=3)
    shares.set(a=0, b=4)
    assert shares.share("a") == 30
    assert str(shares.problem("a")).startswith("internal error: ZeroDivisionError")
    assert shares.share("b") == 15
    assert "one of a failed, its last good result stays" in caplog.text


def test_a_bug_in_a_row_without_a_good_result_leaves_it_absent(shares: Shares) -> None:
    shares.set(a=0)
    assert shares.share("a") is None
    assert shares.problem("a")


def test_a_bug_is_over_when_the_function_works_again(shares: Shares) -> None:
    shares.set(a=2)
    shares.set(a=0)
    shares.set(a=6)
    assert (shares.share("a"), shares.problem("a")) == (10, None)


def test_a_failed_row_is_tried_again_when_what_it_had_read_changes(shares: Shares) -> None:
    shares.set(a=2, limit=9)
    shares.set(limit=0)
    assert str(shares.problem("a")).startswith("internal error")
    shares.set(limit=1)
    assert (shares.share("a"), shares.problem("a")) == (60, "2 is cut to 1")


def test_a_result_held_through_a_bug_goes_with_its_input(shares: Shares) -> None:
    shares.set(a=2)
    shares.set(a=0)
    shares.delete("a")
    assert shares.share("a") is None
    assert_nothing_is_left(shares.graph)


def test_an_equal_result_is_told_to_nobody_downstream(shares: Shares) -> None:
    downstream = Mapped(shares.graph, "downstream", shares.one, lambda _fetch, _key, share: share)
    shares.set(a=31)
    shares.told.clear()
    shares.set(a=32)
    assert shares.told == []
    assert (shares.one.runs, downstream.runs) == (2, 1)


def test_a_changed_result_is_told_with_what_it_was(shares: Shares) -> None:
    shares.set(a=1)
    shares.set(a=2)
    shares.delete("a")
    assert shares.told == [{"a": Change(None, 60)}, {"a": Change(60, 30)}, {"a": Change(30, None)}]


def test_a_function_runs_once_however_many_of_its_reads_changed() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    all_numbers = Index(numbers, "all", lambda _: ("all",))

    def read_everything(fetch: Fetch, _key: str, number: int) -> int:
        fetch.one(numbers, "b")
        fetch.one(numbers, "c")
        return sum(fetch.group(all_numbers, "all")) + number

    totals = Mapped(graph, "totals", numbers, read_everything)
    with graph.transaction():
        for key in "abc":
            numbers.set(key, 1)
    assert totals.runs == 3
    with graph.transaction():
        for key in "abc":
            numbers.set(key, 2)
    assert totals.runs == 6
    assert dict(totals.items()) == {"a": 8, "b": 8, "c": 8}


def test_a_read_that_is_made_no_more_is_forgotten() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    others: Source[int] = Source(graph, "others")
    by_size = Index(others, "size", lambda number: (str(number),))

    def read_if_even(fetch: Fetch, _key: str, number: int) -> int:
        if number % 2:
            return number
        return number + (fetch.one(others, "x") or 0) + sum(fetch.group(by_size, "7"))

    sums = Mapped(graph, "sums", numbers, read_if_even)
    with graph.transaction():
        numbers.set("a", 2)
        others.set("x", 7)
    assert dict(sums.items()) == {"a": 16}
    with graph.transaction():
        numbers.set("a", 3)
    assert [groups(read) for read in (*others.readers.values(), *by_size.readers.values())] == [{}, {}]
    with graph.transaction():
        others.set("x", 8)
    assert (sums.runs, dict(sums.items())) == (2, {"a": 3})


def test_a_group_is_read_in_the_order_of_its_keys() -> None:
    graph = Graph()
    numbers: Source[int] = Source(graph, "numbers")
    all_numbers = Index(numbers, "all", lambda _: ("all",))
    seen: list[list[int]] = []

    def look(fetch: Fetch, _key: str, number: int) -> int:
        seen.append(fetch.group(all_numbers, "all"))
        return number

    Mapped(graph, "looks", numbers, look)
    with graph.transaction():
        for key, number in (("c", 3), ("a", 1), ("b", 2)):
            numbers.set(key, number)
    assert seen == [[1, 2, 3]] * 3


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"x": 1, "y": 2}, {"x": 1, "y": 3}, {"k/y": Change(2, 3)}),
        ({"x": 1, "y": 2}, {"y": 2}, {"k/x": Change(1, None)}),
        ({"x": 1}, {"y": 1}, {"k/x": Change(1, None), "k/y": Change(None, 1)}),
        ({"x": 1}, {}, {"k/x": Change(1, None)}),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}, None),
        ({"": 1, "a/b": 2}, {"": 2, "a/b": 2}, {"k/": Change(1, 2)}),
    ],
)
def test_an_expansion_tells_only_the_rows_that_differ(
    before: Mapping[str, int], after: Mapping[str, int], told: Mapping[str, Change[int]] | None
) -> None:
    graph = Graph()
    rows: Source[Mapping[str, int]] = Source(graph, "rows")
    expanded = Expanded(graph, "expanded", rows, lambda _fetch, _key, row: row)
    with graph.transaction():
        rows.set("k", before)
    heard: list[object] = []
    graph.listen(expanded, heard.append)
    with graph.transaction():
        rows.set("k", after)
    assert heard == ([told] if told else [])
    assert dict(expanded.items()) == {f"k/{own}": number for own, number in after.items()}
