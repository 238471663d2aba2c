"""One source collection for each kind of object: what the sources fill and the mesh reads."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from xds_server.store.collection import Source
from xds_server.store.graph import Graph

T = TypeVar("T")


class Registry:
    """Source collections by the type of their rows."""

    def __init__(self, graph: Graph, kinds: Iterable[type]) -> None:
        self.graph = graph
        self._sources: dict[type, Source[Any]] = {
            kind: Source(graph, kind.__name__) for kind in dict.fromkeys(kinds)
        }

    def of(self, kind: type[T]) -> Source[T]:
        return cast("Source[T]", self._sources[kind])

    def __iter__(self) -> Iterator[Source[Any]]:
        return iter(self._sources.values())

    @property
    def kinds(self) -> Mapping[str, type]:
        """Types of rows by the name of their source."""
        return {source.name: kind for kind, source in self._sources.items()}

    @property
    def unsynced(self) -> list[str]:
        """Names of the collections whose first whole state is not in yet."""
        return [source.name for source in self if not source.synced]
