"""Logs: one line an event, for people and for machines."""

import json
import logging

import pytest

from xds_server.cli.logs import JsonLines, TextLines


def record(error: Exception | None = None) -> logging.LogRecord:
    trace = (type(error), error, None) if error else None
    made = logging.LogRecord("xds_server.sources.x", logging.WARNING, "f", 1, "file %s:\nbad", ("a",), trace)
    made.created = 0.5
    return made


def test_text_is_one_line_with_time_level_and_where() -> None:
    assert TextLines().format(record()) == "1970-01-01T00:00:00.500+00:00 warning sources.x: file a: | bad"


@pytest.mark.parametrize("error", [None, ValueError("two\nlines")])
def test_an_error_stays_on_the_line_of_its_event(error: Exception | None) -> None:
    assert "\n" not in TextLines().format(record(error))
    assert "\n" not in JsonLines().format(record(error))


def test_json_is_an_object_with_the_same_words() -> None:
    assert json.loads(JsonLines().format(record(ValueError("why")))) == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "warning",
        "logger": "xds_server.sources.x",
        "message": "file a:\nbad",
        "error": "ValueError: why",
    }
