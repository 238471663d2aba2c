"""Why a text or a value in it was refused, told so that it can be found and mended."""

import json
import re
from typing import Any, NamedTuple

import msgspec
import yaml

from xds_server.exceptions import Problem
from xds_server.sources.manifests.yaml_values import Mapping
from xds_server.sources.placement.findings import shown

_NOTICE = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`(?P<path>\$.*)`)?", re.DOTALL).fullmatch
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL).fullmatch
_EXPECTED = re.compile(r"Expected (.*?)(?:, got `\w+`)?", re.DOTALL).fullmatch
_BYTE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte (\d+)\)", re.DOTALL).fullmatch
_INDEX = re.compile(r"\[(\d+)\]").match

_WORDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


class Refusal(NamedTuple):
    """A field that cannot be used. ``line`` counts from 1; 0 where the form tells no lines."""

    path: str
    found: str
    expected: str
    line: int


class Step(NamedTuple):
    """Where a path has led so far."""

    value: Any
    path: str
    line: int


def explain(error: Exception, value: Any) -> Refusal:
    """Tell which field of ``value`` the decoder refused, what it holds and what it should hold."""
    if not isinstance(error, msgspec.ValidationError):
        return Refusal("", _fault(error), "", _line(value))
    notice = _NOTICE(str(error))
    what, path = (notice["what"], notice["path"] or "$") if notice else (str(error), "$")
    step = _follow(value, path[1:])
    if missing := _MISSING(what):
        return Refusal(f"{step.path}.{missing[1]}".lstrip("."), "missing", "", step.line)
    wanted = _EXPECTED(what)
    expected = re.sub(r"`(.*?)`", _in_words, wanted[1]) if wanted else what
    if notice and notice["key"]:
        odd = next((key for key in step.value if not isinstance(key, str)), None)
        return Refusal(f"{step.path} key".lstrip(), describe(odd), expected, step.line)
    return Refusal(step.path, describe(step.value), expected, step.line)


def explain_json(where: str, text: bytes, error: Exception) -> Problem:
    """Tell why a text is not JSON: what msgspec, the standard library's decoder or UTF-8 says of it."""
    if isinstance(error, json.JSONDecodeError):
        return _malformed(where, "JSON", (error.lineno, error.colno), error.msg)
    if malformed := _BYTE(str(error)):
        return _malformed(where, "JSON", _position(text, int(malformed[2])), malformed[1])
    return Problem(where, "its JSON", _fault(error), "")


def explain_yaml(where: str, text: bytes, error: yaml.YAMLError) -> Problem:
    """Tell why a text is not YAML, or not YAML that may be used."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        # What is missing at the end is missed by the parser a line later.
        last = text.rstrip().count(b"\n") + 1
        line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
        return _malformed(where, "YAML", (min(line, last), column), str(error.problem))
    if isinstance(error, yaml.reader.ReaderError):
        return _malformed(where, "UTF-8 text", _position(text, error.position), error.reason)
    return Problem(where, "its YAML", f"unusable ({error})", "")


def _malformed(where: str, what: str, position: tuple[int, int], why: str) -> Problem:
    line, column = position
    return Problem(f"{where}:{line}", f"its {what}", f"unusable at column {column} ({why})", "")


def describe(value: Any) -> str:
    """Return a value in the words of JSON, on one line, cut where it is long."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _follow(value: Any, ahead: str) -> Step:
    """Follow the decoder's path as far as it leads."""
    path, line = "", _line(value)
    while ahead:
        index = _INDEX(ahead)
        if ahead.startswith("[...]") and isinstance(value, dict):
            key, ahead = _odd_member(value), ahead[5:]
            path, value = f"{path}[{describe(key)}]", value.get(key)
        elif index and isinstance(value, list) and int(index[1]) < len(value):
            path, value, ahead = path + index[0], value[int(index[1])], ahead[index.end() :]
        elif isinstance(value, dict) and (key := _next_key(value, ahead[1:])) is not None:
            path, value, ahead = f"{path}.{key}".lstrip("."), value[key], ahead[1 + len(key) :]
        else:
            return Step(value, (path + ahead).lstrip("."), line)
        line = _line(value) or line
    return Step(value, path, line)


def _next_key(value: dict[Any, Any], ahead: str) -> str | None:
    """Return the longest key that the path can mean: keys may have dots of their own."""
    fitting = (key for key in value if isinstance(key, str) and _begins(ahead, key))
    return max(fitting, key=len, default=None)


def _begins(ahead: str, key: str) -> bool:
    return ahead == key or ahead.startswith((f"{key}.", f"{key}["))


def _odd_member(value: dict[Any, Any]) -> Any:
    """Return the key of the value the decoder did not name: the maps of Kubernetes hold text."""
    return next((key for key, member in value.items() if not isinstance(member, str)), None)


def _line(value: Any) -> int:
    return value.line if isinstance(value, Mapping) else 0


def _in_words(types: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(name, name) for name in types[1].split(" | "))


def _position(text: bytes, offset: int) -> tuple[int, int]:
    """Return line and column, both counted from 1."""
    return text.count(b"\n", 0, offset) + 1, offset - text.rfind(b"\n", 0, offset)


def _fault(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte 0x{error.object[error.start]:02x})"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return f"unusable ({error})"
