"""The invariant of derivation: after any edits, the rows are those of a graph built from scratch."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.graphs import assert_indexes_are_right, assert_nothing_is_left, runs, state
from xds_server.exceptions import InputError
from xds_server.store.collection import Index, Source
from xds_server.store.derive import Expanded, Fetch, Mapped
from xds_server.store.graph import Graph


@dataclasses.dataclass(frozen=True)
class Item:
    """A pod, a host or a label, small enough to be drawn: what a name, a reference and tags are to them."""

    refers_to: str
    tags: frozenset[str]
    size: int


class Mesh:
    """
    A small mesh of collections that uses every feature at once.

    Diamonds (``summaries`` reads what ``groups`` is made of), reads of one's own input, reads by key
    and by group, conditional reads, input faults, notes and expansions of derived rows.
    """

    def __init__(self) -> None:
        self.graph = Graph()
        self.items: Source[Item] = Source(self.graph, "items")
        self.hosts: Source[Item] = Source(self.graph, "hosts")
        self.items_by_tag = Index(self.items, "tag", lambda item: item.tags)
        self.sizes = Mapped(self.graph, "sizes", self.hosts, self._size)
        self.sizes_by_parity = Index(self.sizes, "parity", lambda size: (str(size % 2),))
        self.tagged = Expanded(self.graph, "tagged", self.items, self._tagged)
        self.tagged_by_word = Index(self.tagged, "word", lambda word: (word,))
        self.groups = Mapped(self.graph, "groups", self.hosts, self._group)
        self.summaries = Mapped(self.graph, "summaries", self.tagged, self._summary)

    def _size(self, fetch: Fetch, _key: str, host: Item) -> int | None:
        if host.size == 3:
            raise InputError("3 is no size")
        if host.size == 2:
            fetch.note("2 is a small size")
        referred = fetch.one(self.items, host.refers_to)
        return host.size + (referred.size if referred else 0) or None

    def _tagged(self, fetch: Fetch, _key: str, item: Item) -> dict[str, str]:
        size = fetch.one(self.sizes, item.refers_to)
        if size is None:
            return {}
        return {tag: str(size) for tag in item.tags if fetch.group(self.sizes_by_parity, str(len(tag) % 2))}

    def _group(self, fetch: Fetch, key: str, host: Item) -> str:
        rows = [row.size for tag in sorted(host.tags) for row in fetch.group(self.items_by_tag, tag)]
        same = fetch.group(self.tagged_by_word, str(host.size))
        word = fetch.one(self.tagged, f"{key}/t")
        return f"{rows} {len(same)} {word}"

    def _summary(self, fetch: Fetch, key: str, word: str) -> str:
        owner, _, tag = key.partition("/")
        group = fetch.one(self.groups, owner)
        if group is not None and tag == "t":
            return group
        return f"{word} {len(fetch.group(self.items_by_tag, tag))}"

    def edit(self, edits: "Edits") -> None:
        with self.graph.transaction():
            for source, key, item in edits:
                collection = self.items if source == "items" else self.hosts
                if item is None:
                    collection.delete(key)
                else:
                    collection.set(key, item)


KEYS = st.sampled_from(["a", "b", "c", "d"])
ITEMS = st.builds(
    Item, refers_to=KEYS, tags=st.frozensets(st.sampled_from(["t", "uu"])), size=st.integers(0, 4)
)
Edits = list[tuple[str, str, Item | None]]
TRANSACTIONS = st.lists(
    st.lists(st.tuples(st.sampled_from(["items", "hosts"]), KEYS, st.none() | ITEMS), min_size=1, max_size=4),
    max_size=10,
)


def problems(mesh: Mesh) -> dict[str, dict[str, str]]:
    return {item.name: dict(item.problems) for item in (mesh.sizes, mesh.tagged, mesh.groups, mesh.summaries)}


@settings(max_examples=250, deadline=None)
@given(TRANSACTIONS)
def test_incremental_is_from_scratch(transactions: list[Edits]) -> None:
    mesh = Mesh()
    for edits in transactions:
        mesh.edit(edits)
    scratch = Mesh()
    scratch.edit([("items", key, item) for key, item in mesh.items.items()])
    scratch.edit([("hosts", key, item) for key, item in mesh.hosts.items()])
    assert state(mesh.graph) == state(scratch.graph)
    assert problems(mesh) == problems(scratch)
    assert_indexes_are_right(mesh.graph)
    mesh.edit([("items", key, None) for key in mesh.items])
    mesh.edit([("hosts", key, None) for key in mesh.hosts])
    assert_nothing_is_left(mesh.graph)


@settings(max_examples=60, deadline=None)
@given(TRANSACTIONS)
def test_no_function_runs_twice_for_a_row_in_one_transaction(transactions: list[Edits]) -> None:
    mesh = Mesh()
    for edits in transactions:
        before = runs(mesh.graph)
        known = {"hosts": set(mesh.hosts), "items": set(mesh.items), "tagged": set(mesh.tagged)}
        mesh.edit(edits)
        inputs = {"sizes": "hosts", "tagged": "items", "groups": "hosts", "summaries": "tagged"}
        now = {"hosts": set(mesh.hosts), "items": set(mesh.items), "tagged": set(mesh.tagged)}
        for name, ran in runs(mesh.graph).items():
            assert ran - before[name] <= len(known[inputs[name]] | now[inputs[name]])


def test_repeating_the_present_state_runs_nothing() -> None:
    mesh = Mesh()
    item = Item("a", frozenset({"t", "uu"}), 4)
    mesh.edit([("items", "a", item), ("hosts", "a", item)])
    before = runs(mesh.graph)
    mesh.edit([("items", "a", item), ("hosts", "a", item)])
    assert runs(mesh.graph) == before
