"""The catalog as one stream sees it: what all are served, and types of its own."""

from typing import Protocol

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.lookup import AddressLookup
from xds_server.catalog.served_type import ServedType


class ServedCatalog(Protocol):
    """What a session reads."""

    @property
    def position(self) -> int: ...
    @property
    def lookup(self) -> AddressLookup: ...
    def serves(self, url: str) -> bool: ...
    def label(self, url: str) -> str: ...
    def of(self, url: str) -> ServedType: ...


class Overlay:
    """A shared catalog with types that differ from stream to stream, each counting its own positions."""

    def __init__(self, shared: Catalog, *own: ServedType) -> None:
        self._shared = shared
        self._own = {served.url: served for served in own}

    @property
    def position(self) -> int:
        return self._shared.position

    @property
    def lookup(self) -> AddressLookup:
        return self._shared.lookup

    def serves(self, url: str) -> bool:
        return url in self._own or self._shared.serves(url)

    def label(self, url: str) -> str:
        return url if url in self._own else self._shared.label(url)

    def of(self, url: str) -> ServedType:
        return self._own.get(url) or self._shared.of(url)
