"""All resources of one type, and the responses that are the same for every client."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from xds_server.catalog.changes import ChangeLog
from xds_server.catalog.encode import content_version, delta_response, state_of_the_world_response
from xds_server.catalog.resource import Resource, ResourceType

LOG_CAPACITY = 100_000
_DIGEST_BITS = (1 << 64) - 1


class Encoded(NamedTuple):
    """A response ready to send, and what it carries."""

    payload: bytes
    nonce: str
    resources: int
    removed: int


class ServedType:
    """
    The resources of one type at the present position.

    Responses that depend on nothing but positions are encoded once, whatever the number of
    streams: they are kept until the next change of the type.
    """

    def __init__(self, url: str, log_capacity: int = LOG_CAPACITY) -> None:
        self.type = ResourceType(url)
        self.url = url
        self.position = 0
        """Position of the latest change of this type."""
        self.resources: dict[str, Resource] = {}
        self.versions: dict[str, str] = {}
        """Name -> version of all resources: what a reconnecting client's versions are compared with."""
        self.encodings = 0
        """How many responses were encoded: one a change, not one a stream."""
        self._digest = 0
        self._log = ChangeLog(log_capacity)
        self._shared: dict[object, Encoded] = {}

    def apply(self, bodies: Mapping[str, bytes | None], position: int) -> None:
        """Take new bodies (None removes) as the changes that make ``position``; equal ones are none."""
        for name, body in bodies.items():
            old = self.resources.get(name)
            new = self.type.frame(name, body) if body is not None else None
            if new == old:
                continue
            self._replace(name, old, new)
            self._record(name, position)

    def tell_again(self, names: Iterable[str], position: int) -> None:
        """Have resources sent at ``position`` as if they had changed."""
        for name in names:
            if name in self.resources:
                self._record(name, position)

    def _record(self, name: str, position: int) -> None:
        self._log.record(name, position)
        self.position = position
        self._shared.clear()

    def _replace(self, name: str, old: Resource | None, new: Resource | None) -> None:
        if old is not None:
            self._digest -= _digest(old)
        if new is None:
            del self.resources[name], self.versions[name]
        else:
            self._digest += _digest(new)
            self.resources[name] = new
            self.versions[name] = new.version

    @property
    def version(self) -> str:
        """Version of the whole type: a function of its content alone, so equal on every replica."""
        return f"{self._digest & _DIGEST_BITS:016x}"

    def can_follow(self, cursor: int) -> bool:
        return cursor >= self._log.floor

    def changed_since(self, cursor: int) -> list[str]:
        """Return the names changed after ``cursor``; those not among ``resources`` are gone."""
        return self._log.since(cursor) if self.position > cursor else []

    def everything(self) -> Encoded:
        """The delta response that brings an empty client to the present."""
        return self._share("everything", self.resources, ())

    def changes(self, cursor: int) -> Encoded:
        """The delta response that brings a client from ``cursor`` to the present."""
        shared = self._shared.get(cursor)
        if shared is not None:
            return shared
        names = self.changed_since(cursor)
        return self._share(
            cursor,
            [name for name in names if name in self.resources],
            [name for name in names if name not in self.resources],
        )

    def present(self, names: frozenset[str]) -> Encoded:
        """The delta response that tells of each name what it is now, or that it is gone."""
        shared = self._shared.get(names)
        if shared is None:
            there = names & self.resources.keys()
            shared = self._shared[names] = self.some(there, names - there, f"{self.position:x}-")
        return shared

    def state(self) -> Encoded:
        """The state-of-the-world response with every resource."""
        shared = self._shared.get("state")
        if shared is None:
            shared = self.some_of_state(self.resources.values(), f"{self.position:x}")
            self._shared["state"] = shared
        return shared

    def some(self, names: Iterable[str], removed: Iterable[str], nonce: str) -> Encoded:
        """A delta response for one client alone."""
        entries = [self.resources[name].entry for name in names]
        return self.encode(entries, list(removed), nonce)

    def encode(self, entries: list[bytes], removed: list[str], nonce: str) -> Encoded:
        self.encodings += 1
        payload = delta_response(self.url, self.version, nonce, entries, removed)
        return Encoded(payload, nonce, len(entries), len(removed))

    def some_of_state(self, resources: Iterable[Resource], nonce: str) -> Encoded:
        """A state-of-the-world response with some resources, for one client alone."""
        self.encodings += 1
        packed = [resource.packed for resource in resources]
        payload = state_of_the_world_response(self.url, self.version, nonce, packed)
        return Encoded(payload, nonce, len(packed), 0)

    def _share(self, key: object, names: Iterable[str], removed: Iterable[str]) -> Encoded:
        shared = self._shared.get(key)
        if shared is None:
            # One nonce for all: a stream sees each position once, so it is unique where it matters.
            shared = self._shared[key] = self.some(names, removed, f"{self.position:x}")
        return shared


def _digest(resource: Resource) -> int:
    return int(content_version(f"{resource.name} {resource.version}".encode()), 16)
