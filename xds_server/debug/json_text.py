"""
JSON in pieces: an answer of any size is written without being built, or holding up the event loop.

A view returns mappings, lists and scalars; where a list may be long it returns an iterator, whose
elements are made one by one while the text goes out. Keys are sorted, so two answers can be compared.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeAlias

Json: TypeAlias = Mapping[str, object]

SKIPPED: Final = object()
"""What an iterator yields for an element it passes over, so that a long search pauses as well."""

# Whichever comes first ends a slice; the time is for pieces that are large, or take long to find.
_PIECES_AT_ONCE = 32
_SLICE_SECONDS = 0.002


class JsonText:
    """Turns values into text, on one line or indented."""

    def __init__(self, pretty: bool) -> None:
        separators = (",", ": ") if pretty else (",", ":")
        self._colon = separators[1]
        self._margin = "\n" if pretty else ""
        self._encode = json.JSONEncoder(
            ensure_ascii=False, sort_keys=True, indent=2 if pretty else None, separators=separators
        ).encode

    def pieces(self, value: object) -> Iterator[str]:
        """Yield the text of a value; elements of an iterator are values without iterators in them."""
        yield from self._value(value, self._margin)
        yield "\n"

    def _value(self, value: object, margin: str) -> Iterator[str]:
        if isinstance(value, Mapping):
            yield from self._object(value, margin)
        elif isinstance(value, Iterator):
            yield from self._array(value, margin)
        else:
            yield self._leaf(value, margin)

    def _object(self, value: Mapping[str, object], margin: str) -> Iterator[str]:
        inner = _deeper(margin)
        before = "{"
        for key in sorted(value):
            yield before + inner + self._encode(key) + self._colon
            yield from self._value(value[key], inner)
            before = ","
        yield "{}" if before == "{" else margin + "}"

    def _array(self, elements: Iterator[object], margin: str) -> Iterator[str]:
        inner = _deeper(margin)
        before = "["
        for element in elements:
            if element is SKIPPED:
                yield ""
                continue
            yield before + inner + self._leaf(element, inner)
            before = ","
        yield "[]" if before == "[" else margin + "]"

    def _leaf(self, value: object, margin: str) -> str:
        text = self._encode(value)
        return text.replace("\n", margin) if margin else text


def json_slices(
    make: Callable[[], object], pretty: bool, clock: Callable[[], float] = time.perf_counter
) -> Iterator[bytes]:
    """Yield what ``make`` returns as JSON, each slice the work of a moment; the call is the first's."""
    pieces = JsonText(pretty).pieces(make())
    while several := list(_of_one_moment(pieces, clock)):
        yield to_bytes("".join(several))


def _of_one_moment(pieces: Iterator[str], clock: Callable[[], float]) -> Iterator[str]:
    until = clock() + _SLICE_SECONDS
    for piece in islice(pieces, _PIECES_AT_ONCE):
        yield piece
        if clock() >= until:
            return


def to_bytes(text: str) -> bytes:
    """Encode; half a surrogate pair, as in a file name that is no UTF-8, stays as its JSON escape."""
    return text.encode(errors="backslashreplace")


def _deeper(margin: str) -> str:
    return margin and margin + "  "
