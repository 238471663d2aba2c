"""What every collection offers: rows by key, indexes, and who has read what."""

import logging
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from xds_server.exceptions import LocalError
from xds_server.store.multimap import MultiMap

if TYPE_CHECKING:
    from xds_server.store.graph import Graph

V = TypeVar("V")

log = logging.getLogger(__name__)


class Change(NamedTuple, Generic[V]):
    """What became of one row: ``old`` is None for a new row, ``new`` for a removed one."""

    old: V | None
    new: V | None


class Reader(Protocol):
    """A derived collection, as those it reads see it."""

    dirty: set[str]


class Readable:
    """Something a derivation can fetch from by key, which remembers who did."""

    __slots__ = ("name", "readers")

    def __init__(self, name: str) -> None:
        self.name = name
        self.readers: dict[Reader, MultiMap] = {}

    def touch(self, keys: Iterable[str]) -> None:
        """Mark every row for rerun whose derivation fetched one of ``keys``."""
        for reader, read_by in self.readers.items():
            for key in keys:
                reader.dirty.update(read_by.get(key))


class Collection(Readable, Generic[V]):
    """Rows by key. Only a transaction of the graph changes them."""

    __slots__ = ("dependents", "indexes", "rows")

    def __init__(self, graph: "Graph", name: str) -> None:
        super().__init__(name)
        self.rows: dict[str, V] = {}
        self.dependents: list[Reader] = []
        self.indexes: list[Index[V]] = []
        graph.add(self)

    def get(self, key: str) -> V | None:
        return self.rows.get(key)

    def items(self) -> ItemsView[str, V]:
        return self.rows.items()

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def take_changes(self) -> Mapping[str, Change[V]]:
        """Return what changed in this transaction, once; rows already hold the new state."""
        raise NotImplementedError


class Source(Collection[V]):
    """A collection filled from outside."""

    __slots__ = ("_before", "_graph", "synced")

    def __init__(self, graph: "Graph", name: str) -> None:
        super().__init__(graph, name)
        self.synced = False
        """True once the first whole state is in: from here on an absence may be trusted."""
        self._graph = graph
        self._before: dict[str, V | None] = {}

    def set(self, key: str, value: V) -> None:
        self._remember(key)
        self.rows[key] = value

    def delete(self, key: str) -> None:
        """Remove a row; deleting what is not there is nothing."""
        if key in self.rows:
            self._remember(key)
            del self.rows[key]

    def _remember(self, key: str) -> None:
        if not self._graph.in_transaction:
            raise LocalError(f"{self.name} was changed outside a transaction")
        if key not in self._before:
            self._before[key] = self.rows.get(key)

    def take_changes(self) -> Mapping[str, Change[V]]:
        before, self._before = self._before, {}
        rows = self.rows
        return {key: Change(old, rows.get(key)) for key, old in before.items() if old != rows.get(key)}


class Index(Readable, Generic[V]):
    """Rows of one collection grouped by keys computed from each row, kept current by it."""

    __slots__ = ("_keys_of", "collection", "groups")

    def __init__(self, collection: Collection[V], name: str, keys_of: Callable[[V], Iterable[str]]) -> None:
        super().__init__(f"{collection.name} by {name}")
        self.collection = collection
        self.groups = MultiMap()
        self._keys_of = keys_of
        collection.indexes.append(self)
        for key, row in collection.items():
            for group in self._groups_of(row):
                self.groups.add(group, key)

    def rows(self, group: str) -> list[V]:
        """Return the rows of one group in the order of their keys."""
        keys = self.groups.get(group)
        held = self.collection.rows
        return [held[key] for key in (sorted(keys) if len(keys) > 1 else keys)]

    def receive_changes(self, changes: Mapping[str, Change[V]]) -> None:
        """Regroup the changed rows, then mark whoever read a group that one was or is in."""
        touched: set[str] = set()
        for key, (old, new) in changes.items():
            left = self._groups_of(old)
            joined = self._groups_of(new)
            for group in left - joined:
                self.groups.discard(group, key)
            for group in joined - left:
                self.groups.add(group, key)
            touched |= left | joined
        self.touch(touched)

    def _groups_of(self, row: V | None) -> set[str]:
        """A row whose keys cannot be computed, a bug of ours, is in no group: it must not stop the others."""
        if row is None:
            return set()
        try:
            return set(self._keys_of(row))
        except Exception:
            log.exception("%s failed for a row, which is in no group", self.name)
            return set()


AnyCollection = Collection[Any]
