"""
The objects in the text of a manifest file.

Theory
1. A text is JSON or YAML as a whole: an error of syntax anywhere makes all of it unusable, because
   it may have been read while it was written.
2. Objects are independent: one that cannot be used is a problem, and the rest goes on.
3. Items of a JSON list are decoded one by one straight from the bytes, and keep nothing of them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from xds_server.exceptions import Problem
from xds_server.objects.kinds import CLUSTER_SCOPED, KINDS, object_key
from xds_server.objects.kubernetes import KubernetesObject, ObjectMeta
from xds_server.sources.manifests.forms import Form, Head, Json, Plain
from xds_server.sources.manifests.refusals import Refusal, describe, explain, explain_json, explain_yaml
from xds_server.sources.manifests.yaml_values import Mapping, documents

ObjectId = tuple[type[KubernetesObject], str]
"""Kind and key: what an object is known by."""

_begins_as_json = re.compile(rb"\s*[\[{]").match
_blank = re.compile(r"\s*").match
_NO_HEAD = Head()
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Contents:
    """What one file holds."""

    objects: dict[ObjectId, KubernetesObject] = field(default_factory=dict)
    unusable: dict[ObjectId, Problem] = field(default_factory=dict)
    """Objects that could be told by kind and name, but not used."""
    problems: list[Problem] = field(default_factory=list)
    """All that is wrong, in the order of the file."""
    ignored: Counter[str] = field(default_factory=Counter)
    """``apiVersion/kind`` of objects that are not in use -> how many."""


def decode(where: str, text: bytes) -> Contents | Problem:
    """Return the objects in the text of the file ``where``, or why it is no JSON or YAML at all."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    is_named_json = where.lower().endswith(".json")
    if is_named_json or _begins_as_json(text):
        result = _decode_json(where, text)
        # What begins as JSON may still be YAML in flow style.
        if is_named_json or isinstance(result, Contents):
            return result
    return _decode_yaml(where, text)


def _decode_json(where: str, text: bytes) -> Contents | Problem:
    reader = _Reader(where, Json())
    try:
        reader.take_document(text, "the file")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if "trailing characters" in str(error):
            return _decode_json_values(where, text)
        return explain_json(where, text, error)
    return reader.contents


def _decode_json_values(where: str, text: bytes) -> Contents | Problem:
    """Decode values that stand one after another: slower, but seldom seen."""
    reader = _Reader(where, Plain())
    try:
        for number, value in enumerate(_json_values(text.decode()), 1):
            reader.take_document(value, f"document {number}")
    except (ValueError, RecursionError) as error:
        return explain_json(where, text, error)
    return reader.contents


def _json_values(text: str) -> Iterator[Any]:
    read = json.JSONDecoder().raw_decode
    position = 0
    while (start := _blank(text, position)) and start.end() < len(text):
        value, position = read(text, start.end())
        yield value


def _decode_yaml(where: str, text: bytes) -> Contents | Problem:
    reader = _Reader(where, Plain())
    try:
        for number, value in enumerate(documents(text), 1):
            if value is not None:
                reader.take_document(value, f"document {number}")
    except yaml.YAMLError as error:
        return explain_yaml(where, text, error)
    return reader.contents


class _Reader:
    """Takes the values of one file apart into objects and problems."""

    def __init__(self, where: str, form: Form) -> None:
        self.contents = Contents()
        self._where = where
        self._form = form

    def take_document(self, value: Any, name: str) -> None:
        """Take an object, a list or an array of them."""
        elements = self._form.elements(value)
        if elements is None:
            self.take(value, name)
        else:
            self._take_all(elements, f"{name} ", _NO_HEAD)

    def take(self, value: Any, name: str, typical: Head = _NO_HEAD) -> None:
        """Take an object or a list; ``typical`` is what an item that does not say is taken for."""
        head = self._form.head(value)
        if head is None:
            self._refuse(value, name, Refusal("", describe(self._form.plain(value)), "an object", 0))
        elif head.items is not msgspec.UNSET and str(head.kind).endswith("List"):
            self._take_items(head, value, name)
        else:
            self._take_object(head, typical, value, name)

    def _take_items(self, head: Head, value: Any, name: str) -> None:
        items = self._form.items(head)
        if items is None:
            found = describe(self._form.plain(value)["items"])
            self._refuse(value, name, Refusal("items", found, "an array", 0))
            return
        typical = _NO_HEAD if head.kind == "List" else Head(head.api_version, head.kind.removesuffix("List"))
        self._take_all(items, "items", typical)

    def _take_all(self, values: Sequence[Any], name: str, typical: Head) -> None:
        for number, value in enumerate(values):
            try:
                self.take(value, f"{name}[{number}]", typical)
            except UnicodeDecodeError as error:
                self._refuse(value, f"{name}[{number}]", explain(error, None))

    def _take_object(self, head: Head, typical: Head, value: Any, name: str) -> None:
        api_version, kind = head.api_version or typical.api_version, head.kind or typical.kind
        if not isinstance(api_version, str) or not isinstance(kind, str):
            path, found = ("kind", kind) if isinstance(api_version, str) else ("apiVersion", api_version)
            self._refuse(value, name, Refusal(path, describe(found) if found else "missing", "", 0))
        elif in_use := KINDS.get((api_version, kind)):
            self._build(in_use, value, name)
        else:
            self.contents.ignored[f"{api_version}/{kind}"] += 1

    def _build(self, kind: type[KubernetesObject], value: Any, name: str) -> None:
        try:
            built = self._form.build(kind, value)
        except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            self._refuse_object(kind, value, name, error)
            return
        key = object_key(kind, built.metadata)
        if (kind, key) in self.contents.objects:
            again = Refusal("", "defined twice", "one definition; the first is in force", 0)
            self._refuse(value, f"{kind.__name__} {key}", again)
            return
        if not built.metadata.namespace and kind not in CLUSTER_SCOPED:
            built = _in_default_namespace(built)
        self.contents.objects[kind, key] = built

    def _refuse_object(self, kind: type[KubernetesObject], value: Any, name: str, error: Exception) -> None:
        try:
            plain = self._form.plain(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            plain = None
        key = _key_of(kind, plain)
        problem = self._refuse(value, f"{kind.__name__} {key or name}", explain(error, plain))
        if key:
            self.contents.unusable[kind, key] = problem

    def _refuse(self, value: Any, name: str, refusal: Refusal) -> Problem:
        line = refusal.line or (value.line if isinstance(value, Mapping) else 0)
        where = f"{self._where}:{line}" if line else self._where
        subject = f"{name} {refusal.path}".rstrip()
        problem = Problem(where, subject, refusal.found, refusal.expected)
        self.contents.problems.append(problem)
        return problem


def _key_of(kind: type[KubernetesObject], plain: Any) -> str | None:
    """Return the key of an object that could not be made, as far as it can be read."""
    meta = plain.get("metadata") if isinstance(plain, dict) else None
    name, namespace = (meta.get("name"), meta.get("namespace")) if isinstance(meta, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(namespace, str | None):
        return None
    return object_key(kind, ObjectMeta(name=name, namespace=namespace))


def _in_default_namespace(built: KubernetesObject) -> KubernetesObject:
    metadata = msgspec.structs.replace(built.metadata, namespace="default")
    return msgspec.structs.replace(built, metadata=metadata)
