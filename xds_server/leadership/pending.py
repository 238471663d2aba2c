"""What is to be looked at, and when; pure: times are arguments, in seconds."""

from collections.abc import Iterable
from dataclasses import dataclass

_QUIET_SECONDS = 600.0
_FREE_REPAIRS = 3
_LONGEST_SECONDS = 60.0


class Pending:
    """
    Keys that are due, the last named first: what is new does not wait for a long round to end.

    A key on hold becomes due when its time has come, named or not.
    """

    def __init__(self) -> None:
        self._due: dict[str, None] = {}
        self._holds: dict[str, float] = {}

    def add(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self._holds:
                self._due.pop(key, None)
                self._due[key] = None

    def hold(self, key: str, until: float) -> None:
        self._due.pop(key, None)
        self._holds[key] = until

    def discard(self, key: str) -> None:
        self._due.pop(key, None)
        self._holds.pop(key, None)

    def take(self, now: float) -> str | None:
        """Return the next key that is due, which then is no longer."""
        over = [key for key, until in self._holds.items() if until <= now]
        for key in over:
            del self._holds[key]
        self.add(over)
        return self._due.popitem()[0] if self._due else None

    @property
    def next_at(self) -> float | None:
        """When the next hold is over; of use when nothing is due."""
        return min(self._holds.values(), default=None)


@dataclass(frozen=True, slots=True)
class _Written:
    value: str
    at: float
    repairs: int


class Repairs:
    """How often the same had to be written again: somebody else who writes there must not be raced."""

    def __init__(self) -> None:
        self._written: dict[str, _Written] = {}

    def receive(self, key: str, value: str, now: float) -> float:
        """Note that ``value`` was written; return how long to leave the key alone now."""
        before = self._written.get(key)
        again = before is not None and before.value == value and now - before.at < _QUIET_SECONDS
        repairs = before.repairs + 1 if before and again else 0
        self._written[key] = _Written(value, now, repairs)
        if repairs <= _FREE_REPAIRS:
            return 0.0
        return min(2.0 ** (repairs - _FREE_REPAIRS - 1), _LONGEST_SECONDS)

    def discard(self, key: str) -> None:
        self._written.pop(key, None)
