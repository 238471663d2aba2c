"""Whether this server may be sent clients, and if not, why."""

from collections.abc import Callable


class Readiness:
    """What is still missing, by name; ready when nothing is."""

    def __init__(self) -> None:
        self._missing: dict[str, Callable[[], str]] = {}
        self.need("start", "starting")

    def need(self, what: str, why: str | Callable[[], str]) -> None:
        """Note what is missing; a reason that changes is asked for when it is told."""
        self._missing[what] = why if callable(why) else lambda: why

    def have(self, what: str) -> None:
        self._missing.pop(what, None)

    @property
    def ready(self) -> bool:
        return not self._missing

    @property
    def reason(self) -> str:
        return "; ".join(why() for why in self._missing.values())
