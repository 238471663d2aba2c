"""
The values of a YAML stream, as JSON would have them.

Theory
1. Scalars mean what they mean in JSON, plus the null and boolean words of YAML 1.2. A date, ``yes``
   or ``0x10`` stays text, and so does ``12e3``: no field in use wants it as a number, and writers
   of YAML 1.1 leave the quotes off where it is a text.
2. Values are built from the parser's events without recursion. PyYAML's own composer recurses in
   C, where 100,000 open brackets end the process, and is slower.
3. An alias shares the value it names, so a file of a kilobyte can say a gigabyte. What aliases add
   is counted as if written out, and bounded by what is written.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

# libyaml comes with PyYAML's wheels, not with every build of it.
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_DEEPEST = 200
_ALIASED_AT_MOST = 10_000
_ALIASED_FOR_EACH_WRITTEN = 10

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Bounded, because Python refuses to read an integer of 4,300 digits: a longer one stays text.
_number = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(\.[0-9]{1,99}(?:[eE][-+][0-9]{1,9})?)?").fullmatch

_PREFIX = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset({None, f"{_PREFIX}str"})
_PLAIN_TAGS = frozenset(_PREFIX + name for name in ("null", "bool", "int", "float"))
_COLLECTION_TAGS = frozenset({None, "!", f"{_PREFIX}map", f"{_PREFIX}seq"})

_NO_KEY = object()


class Mapping(dict[Any, Any]):
    """A mapping that knows the line, counted from 1, on which it begins."""

    __slots__ = ("line",)
    line: int


def documents(text: bytes, parser: Any = PARSER) -> Iterator[Any]:
    """
    Yield the value of each document of a stream, None for an empty one.

    Raises:
        yaml.YAMLError: the text is no YAML, or says more than it may.

    """
    events = parser(text)
    builder = _Builder()
    try:
        while (event := events.get_event()) is not None:
            if isinstance(event, DocumentStartEvent):
                builder.begin()
            elif isinstance(event, DocumentEndEvent):
                yield builder.root[0]
            elif isinstance(event, NodeEvent | CollectionEndEvent):
                builder.receive(event)
    finally:
        events.dispose()


class _Builder:
    """The collections begun and not ended, and what each name stands for."""

    def __init__(self) -> None:
        self._written = 0
        self._aliased = 0
        self.begin()

    def begin(self) -> None:
        """Begin a document; names of the one before mean nothing in it."""
        self.root: list[Any] = []
        self._into: Any = self.root
        self._key: Any = _NO_KEY
        self._outer: list[tuple[Any, Any, str | None, int]] = []
        """For each collection begun: what it goes into, under which key, its name, the size before it."""
        self._named: dict[str, tuple[Any, int]] = {}

    def receive(self, event: Event) -> None:
        if isinstance(event, ScalarEvent):
            self._written += 1
            value = _scalar(event)
            if event.anchor:
                self._named[event.anchor] = (value, 1)
            self._put(value, event)
        elif isinstance(event, CollectionStartEvent):
            self._written += 1
            self._enter(event)
        elif isinstance(event, CollectionEndEvent):
            self._leave(event)
        else:
            self._repeat(event)

    @property
    def _size(self) -> int:
        return self._written + self._aliased

    def _enter(self, event: CollectionStartEvent) -> None:
        if event.tag not in _COLLECTION_TAGS:
            raise _refusal(event, f"the tag {event.tag} has no meaning here")
        if len(self._outer) == _DEEPEST:
            raise _refusal(event, f"it is nested more than {_DEEPEST} levels deep")
        self._outer.append((self._into, self._key, event.anchor, self._size))
        self._key = _NO_KEY
        if isinstance(event, MappingStartEvent):
            self._into = Mapping()
            self._into.line = _mark(event).line + 1
        else:
            self._into = []

    def _leave(self, event: Event) -> None:
        value = self._into
        self._into, self._key, name, before = self._outer.pop()
        if "<<" in value and isinstance(value, Mapping):
            _merge(value, event)
        if name:
            self._named[name] = (value, self._size - before)
        self._put(value, event)

    def _repeat(self, event: Event) -> None:
        """Put what an alias names; a collection that has not ended has no name yet."""
        assert isinstance(event, AliasEvent)  # noqa: S101 - no other node is left
        if event.anchor not in self._named:
            raise _refusal(event, f"the alias *{event.anchor} names nothing that ends before it")
        value, size = self._named[event.anchor]
        self._aliased += size
        if self._aliased > _ALIASED_AT_MOST + _ALIASED_FOR_EACH_WRITTEN * self._written:
            raise _refusal(event, f"its aliases stand for more than {self._aliased - size:,} further values")
        self._put(value, event)

    def _put(self, value: Any, event: Event) -> None:
        if isinstance(self._into, list):
            self._into.append(value)
        elif self._key is not _NO_KEY:
            self._into[self._key] = value
            self._key = _NO_KEY
        elif isinstance(value, Mapping | list):
            raise _refusal(event, "a key is no text")
        else:
            self._key = value


def _scalar(event: ScalarEvent) -> Any:
    if event.implicit[0] or event.tag in _PLAIN_TAGS:
        return _plain(event.value)
    if event.tag in _TEXT_TAGS:
        return event.value
    raise _refusal(event, f"the tag {event.tag} has no meaning here")


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-0123456789" or not (number := _number(text)):
        return text
    return float(text) if number[1] else int(text)


def _merge(mapping: Mapping, event: Event) -> None:
    """Add what ``<<`` names, where the mapping itself says nothing."""
    merged = mapping.pop("<<")
    for source in merged if isinstance(merged, list) else [merged]:
        if not isinstance(source, Mapping):
            raise _refusal(event, "<< names no mapping")
        for key, value in source.items():
            mapping.setdefault(key, value)


def _refusal(event: Event, why: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=why, problem_mark=_mark(event))


def _mark(event: Event) -> Any:
    """Return where an event begins; every event of a stream has a mark, of the parser's own type."""
    return event.start_mark
