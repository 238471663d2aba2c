"""The rows of a collection that are let through, by the group each is in and by what it is."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from xds_server.store.collection import AnyCollection, Change, Collection, V
from xds_server.store.graph import Graph


class Gates(NamedTuple):
    """
    Which groups are open, ``is_open(group)``.

    The answer of a group may change only with the row of ``groups`` under that key, or, of all
    groups at once, with ``mode``.
    """

    is_open: Callable[[str], bool]
    groups: AnyCollection
    mode: AnyCollection


class _Marks:
    """A reader that keeps what has changed."""

    def __init__(self, collection: AnyCollection) -> None:
        self.dirty: set[str] = set()
        collection.dependents.append(self)

    def take(self) -> set[str]:
        taken, self.dirty = self.dirty, set()
        return taken


class Gated(Collection[V]):
    """
    Keys are ``group/rest``; a key without a slash is in the group ``''``.

    Cheaper than a derivation that fetches its gate: nothing is kept for a row. In return a group
    that opens or closes costs a look at every key.
    """

    __slots__ = ("_admits", "_gates", "_groups", "_mode", "_source", "dirty")

    def __init__(
        self,
        graph: Graph,
        name: str,
        source: Collection[V],
        gates: Gates,
        admits: Callable[[V], bool] = lambda _row: True,
    ) -> None:
        super().__init__(graph, name)
        self._source = source
        self._gates = gates
        self._groups, self._mode = _Marks(gates.groups), _Marks(gates.mode)
        self._admits = admits
        self.dirty: set[str] = set(source)
        source.dependents.append(self)

    def take_changes(self) -> Mapping[str, Change[V]]:
        dirty, self.dirty = self.dirty, set()
        moved = self._groups.take()
        if self._mode.take():
            dirty.update(self.rows, self._source.rows)
        elif moved:
            dirty.update(key for key in self._source.rows if _group(key) in moved)
        changes: dict[str, Change[V]] = {}
        for key in dirty:
            old, new = self.rows.get(key), self._source.rows.get(key)
            if new is not None and not (self._gates.is_open(_group(key)) and self._admits(new)):
                new = None
            if new == old:
                continue
            if new is None:
                del self.rows[key]
            else:
                self.rows[key] = new
            changes[key] = Change(old, new)
        return changes


def _group(key: str) -> str:
    return key.partition("/")[0]
