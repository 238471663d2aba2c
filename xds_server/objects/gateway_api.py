"""Gateways and their classes, of the Gateway API: waypoints and gateways of networks."""

from typing import Annotated

import msgspec

from xds_server.objects.kubernetes import KubernetesObject, Part
from xds_server.objects.label_selectors import LabelSelector

ListenerPort = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class RouteNamespaces(Part, frozen=True):
    """Which namespaces may attach: ``All``, ``Same`` or ``Selector``."""

    from_: str | None = msgspec.field(name="from", default=None)
    selector: LabelSelector | None = None


class AllowedRoutes(Part, frozen=True):
    namespaces: RouteNamespaces | None = None


class Listener(Part, frozen=True):
    port: ListenerPort
    protocol: str = ""
    allowed_routes: AllowedRoutes | None = None


class GatewaySpec(Part, frozen=True):
    gateway_class_name: str = ""
    listeners: tuple[Listener, ...] | None = None


class StatusAddress(Part, frozen=True):
    """An address a Gateway was given; ``type`` is ``IPAddress``, ``Hostname`` or a domain's own."""

    type: str | None = None
    value: str = ""


class GatewayStatus(Part, frozen=True):
    addresses: tuple[StatusAddress, ...] | None = None


class Gateway(KubernetesObject, frozen=True):
    spec: GatewaySpec = GatewaySpec()
    status: GatewayStatus = GatewayStatus()


class GatewayClass(KubernetesObject, frozen=True):
    """What Gateways of a class share: its labels and annotations stand in for theirs."""
