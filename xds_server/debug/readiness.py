"""Whether this server may be sent clients, and if not, why."""


class Readiness:
    """What is still missing, by name; ready when nothing is."""

    def __init__(self) -> None:
        self._missing: dict[str, str] = {"start": "starting"}

    def need(self, what: str, why: str) -> None:
        self._missing[what] = why

    def have(self, what: str) -> None:
        self._missing.pop(what, None)

    @property
    def ready(self) -> bool:
        return not self._missing

    @property
    def reason(self) -> str:
        return "; ".join(self._missing.values())
