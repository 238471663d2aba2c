"""Results by the digest of the token they are about: bounded, and each believed for a while."""

from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")


class _Entry(NamedTuple, Generic[V]):
    value: V
    since: float
    until: float


class Memory(Generic[V]):
    """The least recently used entry goes first when there are more than ``capacity``."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, _Entry[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def fresh(self, key: bytes, now: float) -> V | None:
        """Return what is believed at ``now``."""
        entry = self._entries.get(key)
        # A clock that was set back must not stretch what was to be short.
        if entry is None or not entry.since <= now < entry.until:
            return None
        self._entries.move_to_end(key)
        return entry.value

    def held(self, key: bytes) -> V | None:
        """Return what is held, believed or not."""
        entry = self._entries.get(key)
        return entry.value if entry is not None else None

    def put(self, key: bytes, value: V, since: float, until: float) -> None:
        self._entries[key] = _Entry(value, since, until)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def discard(self, key: bytes) -> None:
        self._entries.pop(key, None)
