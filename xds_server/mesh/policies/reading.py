"""How one policy is read: all doubt is told, and decided against the connection."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xds_server.exceptions import InputError

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """Of a policy in ``namespace``, which ``denies`` what its rules match or else allows it."""

    namespace: str
    denies: bool
    note: Note

    def doubt(self, problem: str) -> None:
        """
        Tell of a condition that cannot be read, and go on without it, which makes a DENY match more.

        Raises:
            InputError: the policy is an ALLOW, whose rule must then be left out.

        """
        if not self.denies:
            raise InputError(problem)
        self.note(f"{problem}; in doubt it denies")

    def doubt_value(self, where: str, value: object, expected: str) -> None:
        self.note(f"{where} is {shown(value)}: expected {expected}; in doubt it denies")

    def mapping(self, value: object, where: str) -> dict[Any, Any] | None:
        """
        Return a mapping; None where it is something else, which is doubted.

        Raises:
            InputError: it is something else, in an ALLOW.

        """
        if isinstance(value, dict):
            return value
        self.doubt(f"{where} is {shown(value)}: expected a mapping")
        return None

    def items(self, value: object, where: str) -> list[Any]:
        """
        Return a list, empty where there is nothing, or something else, which is doubted.

        Raises:
            InputError: it is something else, in an ALLOW.

        """
        if isinstance(value, list | tuple):
            return list(value)
        if value is not None:
            self.doubt(f"{where} is {shown(value)}: expected a list")
        return []


def shown(value: object) -> str:
    """Show a value in a message, whatever its size."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
