"""Long work shows that it moves: a bar on a terminal, lines in a log otherwise."""

import logging
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_SECONDS_BETWEEN_LINES = 2.0

log = logging.getLogger(__name__)


class LoadProgress:
    """Called with objects done and in all; finishes by itself when both are equal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("loading objects"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = self._bar.add_task("load") if self._bar else None
        self._started_at = self._told_at = time.monotonic()

    def __enter__(self) -> "LoadProgress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
            if done >= total:
                self._bar.stop()
        if done >= total:
            log.info("loaded %d objects in %.1f s", total, now - self._started_at)
        elif now - self._told_at >= _SECONDS_BETWEEN_LINES and not self._bar:
            self._told_at = now
            log.info("loaded %d of %d objects", done, total)
