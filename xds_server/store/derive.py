"""
Derived collections: rows that pure functions compute from rows of other collections.

Theory
1. A derivation is a function ``(fetch, key, row) -> result`` of one input row and of what it
   fetched. It has no other input and no effect, so its result may be kept until one of them changes.
2. Every fetch is recorded, by key or by index group, also when it found nothing: a row that
   appears later is a change of what was read.
3. A transaction reruns exactly the functions whose input row changed or whose fetches were
   touched, each once, collections in the order they were made (which is topological).
4. A result equal to the previous one stops there: nobody downstream hears of it.
5. A function that finds its input unusable raises InputError: the row is absent, the problem is
   kept under its input key. Any other exception is a bug of ours: it is kept as a problem too
   and the last good result stays, because one bad row must not stop a mesh. So it does where a
   function asks for that by HeldInputError: for settings that must not vanish with a slip.
Invariant (property-tested): after any sequence of transactions the rows equal those of a graph
built from scratch on the final sources, but for what is held by rule 5.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from xds_server.exceptions import HeldInputError, InputError
from xds_server.store.collection import Change, Collection, Index, Readable, V
from xds_server.store.graph import Graph
from xds_server.store.multimap import MultiMap

S = TypeVar("S")
R = TypeVar("R")

log = logging.getLogger(__name__)


class Fetch:
    """Tracked reads: what a derivation sees of the world beside its input row."""

    __slots__ = ("notes", "reads")

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.reads: list[Any] = []
        """Readable, key, Readable, key, ...: flat, because one tuple of it is kept for every row."""

    def one(self, collection: Collection[R], key: str) -> R | None:
        self.reads += (collection, key)
        return collection.rows.get(key)

    def group(self, index: Index[R], key: str) -> list[R]:
        """Return the rows of an index group in the order of their keys."""
        self.reads += (index, key)
        return index.rows(key)

    def note(self, problem: str) -> None:
        """Keep a problem with a row that is used all the same, in part."""
        self.notes.append(problem)


class Derivation(Collection[V], Generic[S, R, V]):
    """What both kinds share: which inputs to rerun, what each read, which failed."""

    __slots__ = ("_function", "_input", "_reads", "dirty", "problems", "runs")

    def __init__(
        self, graph: Graph, name: str, source: Collection[S], function: Callable[[Fetch, str, S], R]
    ) -> None:
        super().__init__(graph, name)
        self.dirty: set[str] = set(source)
        self.problems: dict[str, str] = {}
        """Input key -> why its row is absent, stale or used only in part."""
        self.runs = 0
        """How often the function ran: what a change costs, told without a clock."""
        self._input = source
        self._function = function
        self._reads: dict[str, tuple[Any, ...]] = {}
        source.dependents.append(self)

    def _run(self, key: str, row: S, held: R, absent: R) -> R:
        """Run the function for one row: its result, or ``held`` or ``absent`` by who is to blame (rule 5)."""
        fetch = Fetch()
        self.runs += 1
        try:
            result = self._function(fetch, key, row)
            if fetch.notes:
                self.problems[key] = "; ".join(fetch.notes)
            else:
                self.problems.pop(key, None)
        except InputError as problem:
            self.problems[key] = str(problem)
            result = held if isinstance(problem, HeldInputError) else absent
        except Exception as bug:
            log.exception("%s of %s failed, its last good result stays", self.name, key)
            self.problems[key] = f"internal error: {bug!r}"
            result = held
        self._record(key, tuple(fetch.reads))
        return result

    def _record(self, key: str, reads: tuple[Any, ...]) -> None:
        before = self._reads.get(key, ())
        if reads == before:
            return
        for readable, read in _pairs(before):
            readable.readers[self].discard(read, key)
        for readable, read in _pairs(reads):
            readers = readable.readers.get(self)
            if readers is None:
                readers = readable.readers[self] = MultiMap()
            readers.add(read, key)
        if reads:
            self._reads[key] = reads
        else:
            del self._reads[key]

    def _forget(self, key: str) -> None:
        self._record(key, ())
        self.problems.pop(key, None)

    def _replace(self, key: str, new: V | None, changes: dict[str, Change[V]]) -> None:
        old = self.rows.get(key)
        if new == old:
            return
        if new is None:
            del self.rows[key]
        else:
            self.rows[key] = new
        changes[key] = Change(old, new)


class Mapped(Derivation[S, V | None, V]):
    """At most one row for each input row, under the same key."""

    __slots__ = ()

    def take_changes(self) -> Mapping[str, Change[V]]:
        dirty, self.dirty = self.dirty, set()
        changes: dict[str, Change[V]] = {}
        for key in dirty:
            row = self._input.rows.get(key)
            new: V | None = None
            if row is None:
                self._forget(key)
            else:
                new = self._run(key, row, self.rows.get(key), None)
            self._replace(key, new, changes)
        return changes


class Expanded(Derivation[S, Mapping[str, V], V]):
    """Any number of rows for each input row: ``input key + "/" + the function's own key``."""

    __slots__ = ("_made",)

    def __init__(
        self,
        graph: Graph,
        name: str,
        source: Collection[S],
        function: Callable[[Fetch, str, S], Mapping[str, V]],
    ) -> None:
        super().__init__(graph, name, source, function)
        self._made: dict[str, tuple[str, ...]] = {}

    def take_changes(self) -> Mapping[str, Change[V]]:
        dirty, self.dirty = self.dirty, set()
        changes: dict[str, Change[V]] = {}
        for key in dirty:
            row = self._input.rows.get(key)
            before = self._made.get(key, ())
            made: Mapping[str, V] = {}
            if row is None:
                self._forget(key)
            else:
                held = {own[len(key) + 1 :]: self.rows[own] for own in before}
                made = self._run(key, row, held, {})
            rows = {f"{key}/{own}": new for own, new in made.items()}
            for gone in before:
                if gone not in rows:
                    self._replace(gone, None, changes)
            for own_key, new in rows.items():
                self._replace(own_key, new, changes)
            if rows:
                self._made[key] = tuple(rows)
            else:
                self._made.pop(key, None)
        return changes


def _pairs(reads: tuple[Any, ...]) -> Iterator[tuple[Readable, str]]:
    return zip(reads[::2], reads[1::2], strict=True)
