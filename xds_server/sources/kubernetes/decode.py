"""
Bytes of the API server to objects: pages of a list, and lines of a watch.

Objects are decoded straight to the fields in use. One that cannot be used becomes a problem, and
the others go on; a stream that is no watch, or ends in the midst of a line, is the cluster's fault.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from xds_server.cluster.request import ApiError, Status
from xds_server.exceptions import ClusterError, Problem
from xds_server.objects.kinds import object_key
from xds_server.objects.kubernetes import KubernetesObject, ObjectMeta
from xds_server.sources.kubernetes.kinds import WatchedKind
from xds_server.sources.manifests.refusals import explain

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class Row(NamedTuple):
    """What became of one object: None when it is gone."""

    key: str
    item: KubernetesObject | None


@dataclass(slots=True)
class Batch:
    """Some events, in order, or a page of a list."""

    rows: list[Row] = field(default_factory=list)
    problems: dict[str, Problem] = field(default_factory=dict)
    """By key: objects that are there and cannot be used."""
    version: str = ""
    """Resource version that what was read so far amounts to; '' when it does not tell."""
    more: str = ""
    """Of a page: the token that continues the list."""
    listed: bool = False
    """Of a streamed list: all objects have come."""
    ordered: bool = True
    """Of a watch: whether the versions of its events grow, as the API server promises."""


class _Line(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"{}")


class _PageMeta(msgspec.Struct, rename="camel", gc=False):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, gc=False):
    metadata: _PageMeta
    items: tuple[msgspec.Raw, ...] | None = None


class _Meta(msgspec.Struct, rename="camel", gc=False):
    name: str = ""
    namespace: str | None = None
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Head(msgspec.Struct, gc=False):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


_lines = msgspec.json.Decoder(_Line)
_pages = msgspec.json.Decoder(_Page)
_heads = msgspec.json.Decoder(_Head)


class Decoder:
    """Decodes one kind."""

    def __init__(self, kind: WatchedKind) -> None:
        self._kind = kind.type
        self._objects = msgspec.json.Decoder(kind.type)

    def page(self, content: bytes) -> Batch:
        """
        Read a page of a list.

        Raises:
            ClusterError: it is none.

        """
        try:
            page = _pages.decode(content)
            batch = Batch(version=page.metadata.resource_version, more=page.metadata.continue_)
            for item in page.items or ():
                self._take(item, batch)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ClusterError(f"a list of {self._kind.__name__} cannot be read: {error}") from None
        return batch

    def events(self, lines: Iterable[bytes], after: str = "") -> Batch:
        """
        Read lines of a watch whose state so far is ``after``; '' in a streamed list, which has no order.

        Raises:
            ApiError: the watch itself says that it failed.
            ClusterError: a line is no event.

        """
        batch = Batch(version=after)
        try:
            for line in lines:
                self._take_event(_lines.decode(line), batch)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ClusterError(f"a watch of {self._kind.__name__} cannot be read: {error}") from None
        return batch

    def _take_event(self, line: _Line, batch: Batch) -> None:
        if line.type == "ERROR":
            status = msgspec.json.decode(line.object, type=Status)
            what = status.message or status.reason
            raise ApiError(f"a watch of {self._kind.__name__} ended: {what} ({status.code})", status.code)
        if line.type == "BOOKMARK":
            meta = _heads.decode(line.object).metadata
            batch.version = meta.resource_version or batch.version
            batch.listed = batch.listed or INITIAL_EVENTS_END in (meta.annotations or {})
            return
        if batch.version:
            self._follow_version(line, batch)
        if line.type == "DELETED":
            batch.rows.append(Row(self._key(line.object), None))
        elif line.type in ("ADDED", "MODIFIED"):
            self._take(line.object, batch)
        else:
            raise ClusterError(f"a watch of {self._kind.__name__} has an event of type {line.type[:50]!r}")

    def _follow_version(self, line: _Line, batch: Batch) -> None:
        version = _heads.decode(line.object).metadata.resource_version
        if version.isdecimal() and batch.version.isdecimal() and int(version) <= int(batch.version):
            batch.ordered = False
        batch.version = version or batch.version

    def _take(self, item: msgspec.Raw, batch: Batch) -> None:
        try:
            built = self._objects.decode(item)
        except msgspec.ValidationError as error:
            key = self._key(item)
            refusal = explain(error, msgspec.json.decode(item))
            subject = f"{self._kind.__name__} {key} {refusal.path}".rstrip()
            batch.problems[key] = Problem("the Kubernetes API", subject, refusal.found, refusal.expected)
            return
        batch.rows.append(Row(object_key(self._kind, built.metadata), built))

    def _key(self, item: msgspec.Raw) -> str:
        meta = _heads.decode(item).metadata
        return object_key(self._kind, ObjectMeta(name=meta.name, namespace=meta.namespace))
