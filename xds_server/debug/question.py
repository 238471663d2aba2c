"""What a request asks of a view: its query parameters, checked, and the time it is asked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from multidict import MultiMapping

from xds_server.exceptions import PeerError

_SHOWN = 100
_YES = ("", "1", "true", "yes")
_NO = ("0", "false", "no")


class RefusedError(PeerError):
    """A request that is answered with an HTTP error; ``details`` go into the answer beside it."""

    def __init__(self, status: int, why: str, **details: object) -> None:
        super().__init__(why)
        self.status = status
        self.details = details


@dataclass(frozen=True, slots=True)
class Question:
    """Parameters by name, and now in seconds since the epoch."""

    values: Mapping[str, str] = field(default_factory=dict)
    now: float = 0.0

    def text(self, name: str) -> str:
        """
        Return the value of a parameter, nothing when it was not given.

        Raises:
            RefusedError: it was given without a value, which is a script's unset variable.

        """
        value = self.values.get(name)
        if value == "":
            raise RefusedError(400, f"parameter {name} is empty: expected a value, or leave it out")
        return value or ""

    def flag(self, name: str) -> bool:
        """
        Return whether a parameter that is just on or off is on.

        Raises:
            RefusedError: its value means neither.

        """
        value = self.values.get(name)
        if value is None or value.lower() in _NO:
            return False
        if value.lower() in _YES:
            return True
        raise RefusedError(400, f"parameter {name} is {value[:_SHOWN]!r}: expected 1 or 0")


def parse_question(query: MultiMapping[str], known: Sequence[str], now: float) -> Question:
    """
    Take the query of a request.

    Raises:
        RefusedError: a parameter is unknown or given twice.

    """
    values: dict[str, str] = {}
    for name, value in query.items():
        if name not in known:
            raise RefusedError(
                400, f"unknown parameter {name[:_SHOWN]!r}: expected {' or '.join(known) or 'none'}"
            )
        if name in values:
            raise RefusedError(400, f"parameter {name} is given twice: expected it once")
        values[name] = value
    return Question(values, now)
