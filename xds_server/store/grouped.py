"""
Collections that say one thing of each group of an index: its oldest member, whether it has any.

Whoever fetches such a row is rerun when what it says changes, not whenever a member does.
"""

from collections.abc import Callable, Mapping
from collections.abc import Collection as Members
from typing import Generic, TypeVar

from xds_server.store.collection import Change, Collection, Index, V
from xds_server.store.graph import Graph
from xds_server.store.multimap import MultiMap

S = TypeVar("S")


class _EveryGroup(MultiMap):
    """What a reader of all groups has read: whichever group is touched is itself to be redone."""

    __slots__ = ()

    def get(self, key: str) -> Members[str]:
        return (key,)


class Grouped(Collection[V], Generic[S, V]):
    """
    At most one row for each group of an index, under the group's key.

    ``summary`` is a pure function of the members, which come in the order of their keys and are never
    none. It must not raise: whether a member is usable is decided before it becomes one.
    """

    __slots__ = ("_index", "_summary", "dirty")

    def __init__(
        self, graph: Graph, name: str, index: Index[S], summary: Callable[[list[S]], V | None]
    ) -> None:
        super().__init__(graph, name)
        self.dirty: set[str] = set(index.groups)
        self._index = index
        self._summary = summary
        index.readers[self] = _EveryGroup()

    def take_changes(self) -> Mapping[str, Change[V]]:
        dirty, self.dirty = self.dirty, set()
        changes: dict[str, Change[V]] = {}
        for group in dirty:
            members = self._index.rows(group)
            new = self._summary(members) if members else None
            old = self.rows.get(group)
            if new == old:
                continue
            if new is None:
                del self.rows[group]
            else:
                self.rows[group] = new
            changes[group] = Change(old, new)
        return changes
