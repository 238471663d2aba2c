"""How logs look: one line an event, text or JSON, on standard error."""

import functools
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click
import msgspec

F = TypeVar("F", bound=Callable[..., Any])
LEVELS = ("debug", "info", "warning", "error")


def log_options(command: F) -> F:
    """Add ``--log-level`` and ``--log-format`` to a command and set logging up before it runs."""

    @functools.wraps(command)
    def with_logs(*args: Any, log_level: str, log_format: str, **kwargs: Any) -> Any:
        configure(log_level, log_format)
        return command(*args, **kwargs)

    level = click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default="info",
        envvar="OFFMESH_LOG_LEVEL",
        show_default=True,
        help="Least severe event that is logged.",
    )
    form = click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        envvar="OFFMESH_LOG_FORMAT",
        show_default=True,
        help="One line an event, for people or for machines.",
    )
    return level(form(with_logs))  # type: ignore[return-value]  # the options add what the wrapper takes off


def configure(level: str, form: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class TextLines(logging.Formatter):
    """``time level logger: message``; a traceback, if any, on the same line."""

    def format(self, record: logging.LogRecord) -> str:
        name = record.name.removeprefix("xds_server.")
        return _one_line(f"{_time(record)} {record.levelname.lower():7} {name}: {_message(record)}")


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(event).decode()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _message(record: logging.LogRecord) -> str:
    if not record.exc_info:
        return record.getMessage()
    return f"{record.getMessage()} | {logging.Formatter().formatException(record.exc_info)}"


def _one_line(text: str) -> str:
    return text.replace("\n", " | ")
