"""JSON in pieces: the same text that would be built whole."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from xds_server.debug.json_text import SKIPPED, JsonText, json_slices
from xds_server.debug.ordering import in_order

TEXT = some.text(some.characters(codec="utf-8"), max_size=5)
LEAF = some.recursive(
    some.none() | some.booleans() | some.integers() | TEXT,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


class Streamed(list[Any]):
    """A list that a view hands out as an iterator."""


ANSWER = some.recursive(
    LEAF | some.lists(LEAF | some.just(SKIPPED), max_size=4).map(Streamed),
    lambda inner: some.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def streamed(value: Any) -> Any:
    if isinstance(value, Streamed):
        return iter(value)
    return {key: streamed(item) for key, item in value.items()} if isinstance(value, dict) else value


def built(value: Any) -> Any:
    if isinstance(value, Streamed):
        return [item for item in value if item is not SKIPPED]
    return {key: built(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(("pretty", "form"), [(False, {"separators": (",", ":")}), (True, {"indent": 2})])
@given(value=ANSWER)
def test_pieces_join_to_what_json_makes_of_the_whole(pretty: bool, form: dict[str, Any], value: Any) -> None:
    whole = json.dumps(built(value), sort_keys=True, ensure_ascii=False, **form)
    assert "".join(JsonText(pretty).pieces(streamed(value))) == whole + "\n"


def test_elements_are_made_while_the_text_goes_out() -> None:
    made = []

    def elements() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    slices = json_slices(lambda: {"elements": elements()}, pretty=False)
    assert made == []
    next(slices)
    assert len(made) < 40
    assert len(list(slices)) >= 2
    assert len(made) == 100


def test_a_long_search_that_finds_nothing_is_made_in_slices_as_well() -> None:
    slices = list(json_slices(lambda: iter([SKIPPED] * 100), pretty=False))
    assert len(slices) >= 3
    assert b"".join(slices) == b"[]\n"


def test_an_element_that_takes_long_is_a_slice_of_its_own() -> None:
    now = 0.0

    def elements() -> Iterator[str]:
        nonlocal now
        for text in ("short", "long", "short"):
            now += 1.0 if text == "long" else 0.0
            yield text

    slices = list(json_slices(elements, pretty=False, clock=lambda: now))
    assert slices == [b'["short","long"', b',"short"]\n']


def lowest_last(item: int) -> int:
    return -item


@given(items=some.lists(some.integers(), max_size=20), at_once=some.integers(1, 5))
def test_items_come_in_order_after_a_pause_for_each_part(items: list[int], at_once: int) -> None:
    told = in_order(items, lowest_last, at_once)
    pauses = -(-len(items) // at_once)
    assert list(told) == [None] * pauses + sorted(items, reverse=True)


def test_half_a_surrogate_pair_stays_as_its_escape() -> None:
    (text,) = json_slices(lambda: {"name": "\udcff and \u00e9"}, pretty=False)
    assert text == '{"name":"\\udcff and \u00e9"}\n'.encode()
    assert json.loads(text) == {"name": "\udcff and \u00e9"}
