"""Admission: the namespaces whose objects may use a waypoint (facts wds, 4.4)."""

from collections.abc import Iterable

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.gateway_address import HBONE_PORT
from xds_server.mesh.waypoints.inbound import InboundBinding
from xds_server.objects.gateway_api import Listener
from xds_server.objects.kubernetes import Namespace
from xds_server.objects.label_selectors import LabelSelector
from xds_server.store.derive import Fetch

# The API server keeps it on every namespace; manifests may leave it out.
_NAME_LABEL = "kubernetes.io/metadata.name"


class Admission(msgspec.Struct, frozen=True, gc=False):
    """``All``, ``Same`` (the Gateway's own namespace) or ``Selector``."""

    who: str = "Same"
    selector: LabelSelector | None = None


def admission(
    fetch: Fetch, listeners: Iterable[Listener] | None, binding: InboundBinding | None
) -> Admission:
    listener = _listener(tuple(listeners or ()), binding)
    routes = listener.allowed_routes if listener else None
    namespaces = routes.namespaces if routes else None
    if namespaces is None or namespaces.from_ is None or namespaces.from_ == "Same":
        return Admission()
    if namespaces.from_ == "All":
        return Admission("All")
    if namespaces.from_ != "Selector":
        fetch.note(f"allowedRoutes.namespaces.from is {namespaces.from_!r}: expected All, Same or Selector")
        return Admission()
    return Admission("Selector", _usable(fetch, namespaces.selector))


def selects(selector: LabelSelector | None, name: str, namespace: Namespace) -> bool:
    """Tell whether a selector, which has been found usable, admits a namespace; none admits nobody."""
    return selector is not None and selector.matches({_NAME_LABEL: name, **namespace.labels})


def _usable(fetch: Fetch, selector: LabelSelector | None) -> LabelSelector | None:
    """A selector that cannot be read selects nothing, as in Kubernetes, rather than stops the waypoint."""
    try:
        if selector is not None:
            selector.matches({})
    except InputError as problem:
        fetch.note(f"allowedRoutes.namespaces.selector: {problem}; no namespace is admitted")
        return None
    return selector


def _listener(listeners: tuple[Listener, ...], binding: InboundBinding | None) -> Listener | None:
    """Find the listener that traffic for the waypoint comes to."""
    found = None
    if binding is not None and binding.port:
        found = next((item for item in listeners if item.port == binding.port), None)
    elif binding is not None and binding.protocol == "PROXY":
        found = next((item for item in listeners if item.protocol == "istio.io/PROXY"), None)
    if found is not None:
        return found
    return next((item for item in listeners if item.protocol == "HBONE" and item.port == HBONE_PORT), None)
