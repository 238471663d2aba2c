"""Sorting what may be much, a little at a time."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

_AT_ONCE = 1_000


def in_order(items: Iterable[T], key: Callable[[T], Any], at_once: int = _AT_ONCE) -> Iterator[T | None]:
    """
    Yield items by ``key``; before the first, a None for each part of ``at_once`` items sorted.

    Sorting a large mesh at once would hold up the event loop; at each None it may be left.
    ``items`` are of one moment: what they are taken from must not change meanwhile.
    """
    rest = iter(items)
    parts: list[list[T]] = []
    while part := sorted(islice(rest, at_once), key=key):
        parts.append(part)
        yield None
    yield from merge(*parts, key=key)
