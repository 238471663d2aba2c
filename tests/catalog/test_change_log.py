"""The change log: what a client at a past position has missed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xds_server.catalog.changes import ChangeLog


def recorded(*publications: str, capacity: int = 100) -> ChangeLog:
    """Record the letters of each text as the names of one position, the first being 1."""
    log = ChangeLog(capacity)
    for position, names in enumerate(publications, 1):
        for name in names:
            log.record(name, position)
    return log


@pytest.mark.parametrize(
    ("publications", "cursor", "missed"),
    [
        ((), 0, ""),
        (("ab", "c"), 0, "abc"),
        (("ab", "c"), 1, "c"),
        (("ab", "c"), 2, ""),
        (("ab", "c"), 99, ""),
        (("ab", "a"), 0, "ba"),
        (("ab", "a"), 1, "a"),
        (("a", "b", "c", "b"), 2, "cb"),
    ],
)
def test_a_cursor_lacks_every_name_behind_it_the_oldest_change_first(
    publications: tuple[str, ...], cursor: int, missed: str
) -> None:
    assert "".join(recorded(*publications).since(cursor)) == missed


@pytest.mark.parametrize(
    ("publications", "capacity", "floor", "length"),
    [
        (("abc",), 3, 0, 3),
        (("abc", "abc", "cba"), 3, 0, 3),
        (("abcd",), 3, 1, 3),
        (("ab", "c", "d"), 3, 1, 3),
        (("ab", "c", "de"), 3, 1, 3),
        (("ab", "c", "def"), 3, 2, 3),
        (("a", "b", "a", "cde"), 3, 3, 3),
    ],
)
def test_the_floor_is_the_position_of_the_youngest_name_forgotten(
    publications: tuple[str, ...], capacity: int, floor: int, length: int
) -> None:
    log = recorded(*publications, capacity=capacity)
    assert (log.floor, len(log)) == (floor, length)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True), max_size=8), st.integers(1, 8)
)
def test_no_cursor_at_or_above_the_floor_misses_a_change(
    publications: list[list[str]], capacity: int
) -> None:
    log = recorded(*("".join(names) for names in publications), capacity=capacity)
    latest = {name: position for position, names in enumerate(publications, 1) for name in names}
    for cursor in range(log.floor, len(publications) + 1):
        missed = log.since(cursor)
        assert sorted(missed) == sorted(name for name, position in latest.items() if position > cursor)
        assert [latest[name] for name in missed] == sorted(latest[name] for name in missed)
    assert len(log) <= capacity
    for cursor in range(log.floor):
        assert any(position > cursor and name not in log.since(cursor) for name, position in latest.items())
