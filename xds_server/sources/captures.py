"""
What a registry holds, as JSON, and back: the captures that ``/debug/registryz?full=1`` makes.

A capture has every source object as it was read, the placement map and the settings of the mesh
among them: all that what is served follows from.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xds_server.exceptions import InputError
from xds_server.settings import MeshSettings
from xds_server.store.collection import Source
from xds_server.store.registry import Registry


class CapturedObject(msgspec.Struct, frozen=True):
    key: str
    value: dict[str, Any]


class CapturedKind(msgspec.Struct, frozen=True):
    objects: tuple[CapturedObject, ...] = ()


class Capture(msgspec.Struct, frozen=True, rename="camel"):
    """The part of the answer that is read back."""

    mesh: MeshSettings
    two_clusters: bool
    kinds: dict[str, CapturedKind]


def captured(value: object) -> Any:
    """Return a row or settings as JSON values, without what is not set."""
    return _without_nulls(msgspec.to_builtins(value))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(member) for key, member in value.items() if member is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_nulls(member) for member in value]
    return value


class _Head(msgspec.Struct):
    mesh: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    kinds: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def parse_capture(where: str, text: bytes) -> Capture | None:
    """
    Return the capture in a file; None where it is something else.

    Raises:
        InputError: it is a capture, but not a usable one.

    """
    try:
        head = msgspec.json.decode(text, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if head.mesh is msgspec.UNSET or head.kinds is msgspec.UNSET:
        return None
    try:
        return msgspec.json.decode(text, type=Capture)
    except msgspec.DecodeError as error:
        raise InputError(f"{where}: the capture is unusable: {error}") from None


def restore(where: str, capture: Capture, registry: Registry) -> None:
    """
    Put every object of a capture back, in one transaction.

    Raises:
        InputError: an object cannot be read back; then nothing is put.

    """
    sources = {source.name: source for source in registry}
    kinds = registry.kinds
    rows: list[tuple[Source[Any], str, Any]] = []
    for name, kind in capture.kinds.items():
        if name not in sources:
            raise InputError(
                f"{where}: kinds.{name} is unknown: expected one of {', '.join(sorted(sources))}"
            )
        for one in kind.objects:
            try:
                rows.append((sources[name], one.key, msgspec.convert(one.value, kinds[name])))
            except msgspec.ValidationError as error:
                raise InputError(f"{where}: {name} {one.key}: {error}") from None
    with registry.graph.transaction():
        for source, key, row in rows:
            source.set(key, row)
