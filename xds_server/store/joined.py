"""One collection of the rows of several, so that one index and one fetch reach all of them."""

from collections.abc import Mapping

from xds_server.store.collection import Change, Collection, V
from xds_server.store.graph import Graph


class Joined(Collection[V]):
    """Rows under the keys they have in ``parts``; no two parts may use the same key."""

    __slots__ = ("_parts", "dirty")

    def __init__(self, graph: Graph, name: str, *parts: Collection[V]) -> None:
        super().__init__(graph, name)
        self._parts = parts
        self.dirty: set[str] = set()
        for part in parts:
            self.dirty.update(part)
            part.dependents.append(self)

    def take_changes(self) -> Mapping[str, Change[V]]:
        dirty, self.dirty = self.dirty, set()
        changes: dict[str, Change[V]] = {}
        for key in dirty:
            old = self.rows.get(key)
            new = next((part.rows[key] for part in self._parts if key in part.rows), None)
            if new == old:
                continue
            if new is None:
                del self.rows[key]
            else:
                self.rows[key] = new
            changes[key] = Change(old, new)
        return changes
