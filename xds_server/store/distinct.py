"""The distinct values that rows of a collection have: what follows from one is worked out once."""

import sys
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from xds_server.store.collection import Change, Collection, V
from xds_server.store.graph import Graph

S = TypeVar("S")


class Distinct(Collection[V], Generic[S, V]):
    """
    One row for each name that ``name_of`` gives to a row of ``source``, as long as one has it.

    ``name_of`` and ``value_of`` are pure and must not raise; rows of one name have equal values.
    """

    __slots__ = ("_count", "_name", "_name_of", "_source", "_value_of", "dirty")

    def __init__(
        self,
        graph: Graph,
        name: str,
        source: Collection[S],
        name_of: Callable[[S], str],
        value_of: Callable[[S], V],
    ) -> None:
        super().__init__(graph, name)
        self._source = source
        self._name_of = name_of
        self._value_of = value_of
        self._name: dict[str, str] = {}
        self._count: dict[str, int] = {}
        self.dirty: set[str] = set(source)
        source.dependents.append(self)

    def name_for(self, key: str) -> str:
        """Return the name of a row of the source; it follows from that row alone."""
        return self._name[key]

    def take_changes(self) -> Mapping[str, Change[V]]:
        dirty, self.dirty = self.dirty, set()
        touched: dict[str, S | None] = {}
        for key in dirty:
            row = self._source.rows.get(key)
            old = self._name.pop(key, None)
            new = None
            if row is not None:
                # Many rows have one name: interned, it is kept once for all of them and their readers.
                new = self._name[key] = sys.intern(self._name_of(row))
            if new == old:
                continue
            if old is not None:
                self._count[old] -= 1
                touched.setdefault(old, None)
            if new is not None:
                self._count[new] = self._count.get(new, 0) + 1
                touched[new] = row
        return self._settled(touched)

    def _settled(self, touched: Mapping[str, S | None]) -> dict[str, Change[V]]:
        """Add and remove what came and went; ``touched`` has a row of each name that one has taken on."""
        changes: dict[str, Change[V]] = {}
        for name, row in touched.items():
            if not self._count[name]:
                del self._count[name]
                if name in self.rows:
                    changes[name] = Change(self.rows.pop(name), None)
            elif name not in self.rows and row is not None:
                value = self.rows[name] = self._value_of(row)
                changes[name] = Change(None, value)
        return changes
