"""The graph of collections, and the transaction that carries a change through it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from xds_server.exceptions import LocalError
from xds_server.store.collection import AnyCollection, Change, Collection, V

Listener = Callable[[Mapping[str, Change[V]]], None]


class Graph:
    """
    All collections in the order they were made.

    A derived collection is made after those it reads, so that order is topological: one pass
    brings every row up to date.
    """

    def __init__(self) -> None:
        self.collections: list[AnyCollection] = []
        self.in_transaction = False
        self._listeners: dict[AnyCollection, list[Listener]] = {}  # type: ignore[type-arg]

    def add(self, collection: AnyCollection) -> None:
        self.collections.append(collection)

    def listen(self, collection: Collection[V], listener: Listener[V]) -> None:
        """Call ``listener`` with what changed in ``collection`` at the end of each transaction."""
        self._listeners.setdefault(collection, []).append(listener)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """
        Change sources inside; what derives from them is current when the block ends.

        Raises:
            LocalError: transactions were nested.

        """
        if self.in_transaction:
            raise LocalError("transactions do not nest")
        self.in_transaction = True
        try:
            yield
        finally:
            self._propagate()

    def _propagate(self) -> None:
        told: list[tuple[Listener, Mapping[str, Change]]] = []  # type: ignore[type-arg]
        for collection in self.collections:
            changes = collection.take_changes()
            if not changes:
                continue
            for dependent in collection.dependents:
                dependent.dirty.update(changes)
            collection.touch(changes)
            for index in collection.indexes:
                index.receive_changes(changes)
            told += [(listener, changes) for listener in self._listeners.get(collection, ())]
        self.in_transaction = False
        for listener, changes in told:
            listener(changes)
