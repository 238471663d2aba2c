"""
Defaults: what a namespace decides about waypoints for the objects in it.

It is followed once for all of them: a waypoint that is not ready is told at the namespace, and a
change reruns only what reads a different result.
"""

import msgspec

from xds_server.mesh.waypoints.attachment import Attachment, Attachments
from xds_server.mesh.waypoints.references import CANARY_LABEL, USE_LABEL, canary_reference, use_reference
from xds_server.objects.kubernetes import Namespace
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

INGRESS_LABEL = "istio.io/ingress-use-waypoint"


class NamespaceWaypoints(msgspec.Struct, frozen=True, gc=False):
    """Each is None where the namespace says nothing, or nothing that leads to a waypoint."""

    primary: Attachment | None = None
    canary: Attachment | None = None
    canary_weight: str | None = None
    ingress: str | None = None


NOTHING = NamespaceWaypoints()


class Defaults:
    """What each namespace decides."""

    def __init__(self, graph: Graph, namespaces: Collection[Namespace], attachments: Attachments) -> None:
        self._attachments = attachments
        self._rows = Mapped(graph, "namespace waypoints", namespaces, self._read)

    def of(self, fetch: Fetch, namespace: str) -> NamespaceWaypoints:
        return fetch.one(self._rows, namespace) or NOTHING

    def _read(self, fetch: Fetch, key: str, namespace: Namespace) -> NamespaceWaypoints | None:
        labels = namespace.labels
        made = NamespaceWaypoints(
            primary=self._follow(fetch, key, use_reference(labels, key), USE_LABEL),
            canary=self._follow(fetch, key, canary_reference(labels, key), CANARY_LABEL),
            canary_weight=namespace.annotations.canary_weight,
            ingress=labels.get(INGRESS_LABEL),
        )
        return None if made == NOTHING else made

    def _follow(self, fetch: Fetch, namespace: str, gateway: str | None, label: str) -> Attachment | None:
        if not gateway:
            return None
        attachment, problem = self._attachments.attach(fetch, namespace, gateway, label)
        if problem:
            fetch.note(problem)
        return attachment
