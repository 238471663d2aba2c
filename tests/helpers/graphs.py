"""What may be asked of any graph of collections, whatever it derives."""

from xds_server.store.collection import AnyCollection, Readable
from xds_server.store.derive import Derivation
from xds_server.store.graph import Graph
from xds_server.store.multimap import MultiMap


def runs(graph: Graph) -> dict[str, int]:
    """How often each derivation has run its function, by name."""
    return {item.name: item.runs for item in graph.collections if isinstance(item, Derivation)}


def state(graph: Graph) -> dict[str, dict[str, object]]:
    """The rows of every collection, by name."""
    return {item.name: dict(item.items()) for item in graph.collections}


def groups(members: MultiMap) -> dict[str, set[str]]:
    return {key: set(members.get(key)) for key in members}


def assert_indexes_are_right(graph: Graph) -> None:
    """Each index must hold what grouping the rows afresh gives."""
    for collection in graph.collections:
        for index in collection.indexes:
            expected: dict[str, set[str]] = {}
            for key, row in collection.items():
                for group in index._keys_of(row):
                    expected.setdefault(group, set()).add(key)
            assert groups(index.groups) == expected, index.name
            for group, keys in expected.items():
                assert index.rows(group) == [collection.rows[key] for key in sorted(keys)]


def assert_nothing_is_left(graph: Graph) -> None:
    """A graph whose sources are empty must hold nothing at all."""
    for collection in graph.collections:
        assert _remains(collection) == {}, collection.name
        for index in collection.indexes:
            assert groups(index.groups) == {}, index.name
            assert _readers(index) == {}, index.name


def _remains(collection: AnyCollection) -> dict[str, object]:
    held = {
        name: getattr(collection, name, None)
        for name in ("rows", "dirty", "problems", "_before", "_reads", "_made", "_name", "_count")
    }
    return {name: value for name, value in held.items() if value} | _readers(collection)


def _readers(readable: Readable) -> dict[str, object]:
    return {
        str(getattr(reader, "name", reader)): groups(read)
        for reader, read in readable.readers.items()
        if len(read)
    }
