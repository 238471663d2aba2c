"""Attachment: what a reference leads to, where it leads to a waypoint that admits the namespace."""

from typing import NamedTuple

import msgspec

from xds_server.mesh.gateway_address import GatewayPlace
from xds_server.mesh.waypoints.admission import selects
from xds_server.mesh.waypoints.gateways import Waypoint, WaypointReader
from xds_server.mesh.waypoints.references import USE_LABEL
from xds_server.objects.gateway_api import Gateway
from xds_server.objects.kubernetes import Namespace
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Expanded, Fetch, Mapped
from xds_server.store.graph import Graph


class Attachment(msgspec.Struct, frozen=True, gc=False):
    """A waypoint as objects of one namespace may use it; ``place`` is None where it has no usable address."""

    gateway: str
    """``namespace/name``."""
    traffic: str
    place: GatewayPlace | None

    @property
    def namespace(self) -> str:
        return self.gateway.partition("/")[0]

    def message(self) -> api.GatewayAddress | None:
        return self.place.message() if self.place else None

    def takes(self, traffic: str) -> bool:
        """Tell whether it is for ``service`` or ``workload`` traffic."""
        return self.traffic in (traffic, "all")


class Attempt(NamedTuple):
    """An attachment, or None; and what is wrong with it either way."""

    attachment: Attachment | None = None
    problem: str = ""


class Attachments:
    """The waypoints, and which namespaces they admit."""

    def __init__(
        self,
        graph: Graph,
        gateways: Collection[Gateway],
        namespaces: Collection[Namespace],
        reader: WaypointReader,
    ) -> None:
        self.waypoints: Collection[Waypoint] = Mapped(graph, "waypoints", gateways, reader.read)
        self._by_admission = Index(self.waypoints, "admission", lambda row: (row.admitted.who,))
        # By namespace, so that the edit of a label no selector asks for touches nothing in it.
        self._selected = Expanded(graph, "namespaces selected by waypoints", namespaces, self._selecting)

    def attach(self, fetch: Fetch, namespace: str, gateway: str, label: str = USE_LABEL) -> Attempt:
        """Follow what an object of ``namespace``, or the namespace, says by ``label``."""
        waypoint = fetch.one(self.waypoints, gateway)
        if waypoint is None:
            expected = "expected a Gateway with an address in its status (WaypointIsNotReady)"
            return Attempt(problem=f"{_said(label, gateway)}: {expected}")
        if not self._admits(fetch, waypoint, namespace):
            expected = f"expected one whose allowedRoutes admit {namespace} (AttachmentDenied)"
            return Attempt(problem=f"{_said(label, gateway)}: {expected}")
        attachment = Attachment(gateway, waypoint.traffic, waypoint.place)
        if waypoint.place is None:
            expected = "expected a Gateway with a Hostname or a readable IPAddress in its status"
            return Attempt(attachment, f"{_said(label, gateway)}: {expected}")
        return Attempt(attachment)

    def _admits(self, fetch: Fetch, waypoint: Waypoint, namespace: str) -> bool:
        if waypoint.admitted.who == "Selector":
            return fetch.one(self._selected, f"{namespace}/{waypoint.gateway}") is not None
        return waypoint.admitted.who == "All" or waypoint.gateway.partition("/")[0] == namespace

    def _selecting(self, fetch: Fetch, key: str, namespace: Namespace) -> dict[str, bool]:
        return {
            waypoint.gateway: True
            for waypoint in fetch.group(self._by_admission, "Selector")
            if selects(waypoint.admitted.selector, key, namespace)
        }


def unsupported(label: str, gateway: str, traffic: str) -> str:
    return f"{_said(label, gateway)}: expected a waypoint for {traffic} traffic (UnsupportedTrafficType)"


def foreign(label: str, gateway: str, namespace: str) -> str:
    expected = f"expected one of {namespace}, outside of which it is not visible"
    return f"{_said(label, gateway)}: {expected} (CrossNamespaceWaypointForbidden)"


def _said(label: str, gateway: str) -> str:
    return f"label {label} says {gateway!r}"
