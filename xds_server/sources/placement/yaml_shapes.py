"""
Reading the shapes a YAML file is expected to have, and refusing any other with its line.

Theory
1. The file is read as events, because a tree of nodes takes ten times as long to build.
2. Whatever can hide, repeat or explode content (anchors, aliases, tags, a key stated twice,
   further documents, deep nesting) is refused.
3. What is wrong is noted and passed over whole. Only where the text stops being YAML does
   reading stop (``yaml.YAMLError``), because what follows is unknown.
"""

import re
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from typing import Any

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from xds_server.sources.manifests.yaml_values import PARSER
from xds_server.sources.placement.findings import Findings, shown

Texts = dict[str, ScalarEvent | None]
"""The values of a mapping by key; None is one that is stated but is no text."""

NULLS = frozenset({"", "~", "null", "Null", "NULL"})

_WRITTEN_OUT = "each value written out, so that the line of a mistake is the line to mend"

# Far more than data of ours needs; libyaml's time is quadratic in the depth of ``[[[[``.
_DEEPEST = 16

_is_plain_key = re.compile(r"[\w.-]{1,60}", re.ASCII).fullmatch


def line_of(event: Event) -> int:
    """Return the line where ``event`` begins, counted from 1."""
    mark = event.start_mark
    return mark.line + 1 if mark else 1


def is_empty(value: ScalarEvent) -> bool:
    """Tell whether YAML reads the value as nothing; in quotes only nothing is nothing."""
    return value.value in NULLS and (value.implicit[0] or not value.value)


class Shapes:
    """What comes next in a file: a document, a list, a mapping with known keys, a text."""

    def __init__(self, text: bytes, findings: Findings) -> None:
        self._findings = findings
        # A text without these bytes has no anchor, alias or tag, and need not be searched for them.
        self._decorated = any(mark in text for mark in (b"&", b"*", b"!"))
        self._next: Callable[[], Any] = PARSER(text).get_event

    def document(self) -> Event | None:
        """Enter the first document: return what begins it, None if there is none."""
        self._next()
        return None if isinstance(self._next(), StreamEndEvent) else self._value()

    def end(self) -> None:
        """Leave the document, which has to be the last."""
        self._next()
        further = self._next()
        if not isinstance(further, StreamEndEvent):
            self._findings.add(line_of(further), "document", "the second in this file", "one document")

    def items(self) -> Iterator[Event]:
        """Yield what begins each item of the list just entered; the item is then to be read."""
        while not isinstance(item := self._next(), SequenceEndEvent):
            yield self._checked(item)

    def keys(self, known: Collection[str]) -> Iterator[tuple[str, Event]]:
        """Yield each known key of the mapping just entered and what begins its value, then to be read."""
        stated: Texts = {}
        while not isinstance(key := self._value(), MappingEndEvent):
            if isinstance(key, ScalarEvent) and key.value in known and key.value not in stated:
                stated[key.value] = key
                yield key.value, self._value()
            else:
                self._refuse_key(key, stated, known)

    def texts(self, known: Collection[str]) -> Texts:
        """
        Read the mapping just entered, whose values are texts.

        Refuses what ``keys`` refuses, but in one loop: this is where the time of a large file goes.
        """
        texts: Texts = {}
        next_event, decorated = self._next, self._decorated
        while True:
            key = next_event()
            if key.__class__ is not ScalarEvent or (name := key.value) not in known or name in texts:
                if isinstance(key, MappingEndEvent):
                    return texts
                self._refuse_key(self._checked(key), texts, known)
                continue
            value = next_event()
            if value.__class__ is not ScalarEvent:
                self._checked(key)
                self.refuse(self._checked(value), name, "text")
                value = None
            elif decorated and not key.anchor is key.tag is value.anchor is value.tag is None:
                self._checked(key)
                self._checked(value)
            texts[name] = value

    def refuse(self, value: Event, subject: str, expected: str) -> None:
        """Note that ``value`` has the wrong shape, and pass over it. An alias is noted already."""
        if not isinstance(value, AliasEvent):
            self._findings.add(line_of(value), subject, found(value), expected)
        self._skip(value)

    def _value(self) -> Event:
        return self._checked(self._next())

    def _checked(self, event: Event) -> Event:
        """Note an alias, an anchor or a tag."""
        if not self._decorated:
            return event
        if isinstance(event, NodeEvent) and event.anchor is not None:
            what = "alias *" if isinstance(event, AliasEvent) else "anchor &"
            self._findings.add(line_of(event), what + event.anchor, "", _WRITTEN_OUT)
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            self._findings.add(line_of(event), "tag", shown(event.tag), "a value without a tag")
        return event

    def _refuse_key(self, key: Event, stated: Texts, known: Collection[str]) -> None:
        if not isinstance(key, ScalarEvent):
            self.refuse(key, "key", "text")
        elif key.value in stated:
            first = stated[key.value]
            expected = f"once, line {line_of(first)} has it" if first else "once"
            self._findings.add(line_of(key), key.value, "stated twice", expected)
        elif self._findings.full:
            self._findings.add(line_of(key), key.value, "", "")
        else:
            subject = key.value if _is_plain_key(key.value) else shown(key.value)
            self._findings.add(line_of(key), subject, "an unknown key", _nearest(key.value, known))
        self._skip(self._value())

    def _skip(self, value: Event) -> None:
        depth = int(isinstance(value, CollectionStartEvent))
        while depth:
            value = self._value()
            depth += isinstance(value, CollectionStartEvent) - isinstance(value, CollectionEndEvent)
            if depth > _DEEPEST:
                why = f"nested more than {_DEEPEST} levels deep"
                mark: Any = value.start_mark  # the stubs know only the marks of the slow parser
                raise yaml.MarkedYAMLError(problem=why, problem_mark=mark)


def found(value: Event) -> str:
    """Describe a value as it stands in the file."""
    if isinstance(value, ScalarEvent):
        return "empty" if is_empty(value) else shown(value.value)
    return "a list" if isinstance(value, SequenceStartEvent) else "a mapping"


def _nearest(name: str, known: Collection[str]) -> str:
    folded = {key.casefold(): key for key in known}
    near = get_close_matches(name[:60].casefold(), folded, 1)
    return folded[near[0]] if near else f"one of {', '.join(known)}"
