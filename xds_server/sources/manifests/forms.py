"""The two forms in which an object comes: bytes of JSON, or values built from YAML."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import msgspec

from xds_server.objects.kubernetes import KubernetesObject

_begins_as_array = re.compile(rb"\s*\[").match


class Head(msgspec.Struct, frozen=True, rename="camel"):
    """The fields that tell what a value is; each may hold anything."""

    api_version: Any = None
    kind: Any = None
    items: Any = msgspec.UNSET


class Form(Protocol):
    """How to look into a value."""

    def head(self, value: Any) -> Head | None:
        """Tell what the value is; None when it is no object."""

    def elements(self, value: Any) -> Sequence[Any] | None:
        """Return the elements of an array; None when the value is no array."""

    def items(self, head: Head) -> Sequence[Any] | None:
        """Return the items of a list; None when they are no array."""

    def build(self, kind: type[KubernetesObject], value: Any) -> KubernetesObject:
        """
        Make the object.

        Raises:
            msgspec.ValidationError, UnicodeDecodeError, RecursionError: it cannot be made.

        """

    def plain(self, value: Any) -> Any:
        """Return the value as dict, list, text, number, boolean or None."""


class Json:
    """Values are bytes, or views of them: nothing is built but what is asked for."""

    def head(self, value: Any) -> Head | None:
        try:
            head: Head = _decoder(_RawHead).decode(value)
        except msgspec.ValidationError:
            return None
        return head

    def elements(self, value: Any) -> Sequence[Any] | None:
        if not _begins_as_array(value):
            return None
        elements: list[msgspec.Raw] = _decoder(list[msgspec.Raw]).decode(value)
        return elements

    def items(self, head: Head) -> Sequence[Any] | None:
        try:
            return _decoder(list[msgspec.Raw] | None).decode(head.items) or ()
        except msgspec.ValidationError:
            return None

    def build(self, kind: type[KubernetesObject], value: Any) -> KubernetesObject:
        built: KubernetesObject = _decoder(kind).decode(value)
        return built

    def plain(self, value: Any) -> Any:
        return msgspec.json.decode(value)


class Plain:
    """Values are plain already."""

    def head(self, value: Any) -> Head | None:
        if not isinstance(value, dict):
            return None
        return Head(value.get("apiVersion"), value.get("kind"), value.get("items", msgspec.UNSET))

    def elements(self, value: Any) -> Sequence[Any] | None:
        return value if isinstance(value, list) else None

    def items(self, head: Head) -> Sequence[Any] | None:
        items = head.items or ()
        return items if isinstance(items, list | tuple) else None

    def build(self, kind: type[KubernetesObject], value: Any) -> KubernetesObject:
        return msgspec.convert(value, kind)

    def plain(self, value: Any) -> Any:
        return value


class _RawHead(Head, frozen=True, rename="camel"):
    items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@cache
def _decoder(type_: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(type_)
