"""An event loop whose time passes only where everybody waits, and then at once."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a time, lets it pass."""

    def __init__(self, let_pass: Callable[[float], None]) -> None:
        super().__init__()
        self._let_pass = let_pass

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits for something that will never be")
        self._let_pass(timeout)
        return super().select(0)


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 1_000.0
        super().__init__(_Selector(self._let_pass))

    def time(self) -> float:
        return self._now

    def _let_pass(self, seconds: float) -> None:
        self._now += max(seconds, 0.0)


def run_in_virtual_time(main: Coroutine[Any, Any, None]) -> None:
    """Run to its end what may sleep for hours; the clock of its loop begins at second 1,000."""
    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        runner.run(main)
