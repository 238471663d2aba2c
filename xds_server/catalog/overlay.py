"""The catalog as one stream sees it: what all are served, and one type of its own."""

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
    """A shared catalog with a type that differs from stream to stream, which counts its own positions."""

    def __init__(self, shared: Catalog, own: ServedType) -> None:
        self._shared = shared
        self._own = own

    @property
    def position(self) -> int:
        return self._shared.position

    @property
    def lookup(self) -> AddressLookup:
        return self._shared.lookup

    def serves(self, url: str) -> bool:
        return url == self._own.url or self._shared.serves(url)

    def label(self, url: str) -> str:
        return url if url == self._own.url else self._shared.label(url)

    def of(self, url: str) -> ServedType:
        return self._own if url == self._own.url else self._shared.of(url)
