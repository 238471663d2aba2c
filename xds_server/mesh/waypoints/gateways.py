"""Which Gateways are waypoints, and what there is to know of one (facts wds, 4.2)."""

import msgspec

from xds_server.mesh.gateway_address import GatewayPlace, ip_or_none
from xds_server.mesh.networks import Networks
from xds_server.mesh.waypoints.admission import Admission, admission
from xds_server.mesh.waypoints.inbound import InboundBinding, inbound_binding
from xds_server.objects.gateway_api import Gateway, GatewayClass
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch

TRAFFIC_LABEL = "istio.io/waypoint-for"
TRAFFIC_TYPES = ("service", "workload", "all", "none")


class Waypoint(msgspec.Struct, frozen=True, gc=False):
    """
    A Gateway with an address in its status, whatever its class.

    ``place`` is None where no address of its status can be used.
    """

    gateway: str
    """``namespace/name``."""
    traffic: str
    place: GatewayPlace | None
    admitted: Admission
    binding: InboundBinding | None


class WaypointReader:
    """Makes a waypoint of a Gateway and of its class, which may be missing."""

    def __init__(self, classes: Collection[GatewayClass], networks: Networks) -> None:
        self._classes = classes
        self._networks = networks

    def read(self, fetch: Fetch, key: str, gateway: Gateway) -> Waypoint | None:
        if not gateway.status.addresses:
            return None
        named = gateway.spec.gateway_class_name
        gateway_class = fetch.one(self._classes, named) if named else None
        binding = inbound_binding(fetch, _binding_text(gateway, gateway_class))
        return Waypoint(
            gateway=key,
            traffic=_traffic(fetch, gateway, gateway_class),
            place=self._place(fetch, gateway),
            admitted=admission(fetch, gateway.spec.listeners, binding),
            binding=binding,
        )

    def _place(self, fetch: Fetch, gateway: Gateway) -> GatewayPlace | None:
        """A host is preferred: what its addresses are may change without touching what is bound to it."""
        given = gateway.status.addresses or ()
        for item in given:
            if item.type == "Hostname":
                return GatewayPlace(hostname=item.value, namespace=gateway.namespace)
        for item in given:
            ip = ip_or_none(item.value) if item.type == "IPAddress" else None
            if ip is not None:
                return GatewayPlace(ip=ip.packed, network=self._networks.local(fetch))
        return None


def _traffic(fetch: Fetch, gateway: Gateway, gateway_class: GatewayClass | None) -> str:
    """Presence decides, not content: an unknown value is no traffic at all."""
    traffic = gateway.labels.get(TRAFFIC_LABEL)
    if traffic is None:
        return gateway_class.labels.get(TRAFFIC_LABEL, "service") if gateway_class else "service"
    if traffic not in TRAFFIC_TYPES:
        fetch.note(f"label {TRAFFIC_LABEL} is {traffic!r}: expected one of {', '.join(TRAFFIC_TYPES)}")
    return traffic


def _binding_text(gateway: Gateway, gateway_class: GatewayClass | None) -> str | None:
    text = gateway.annotations.inbound_binding
    if text is None and gateway_class is not None:
        return gateway_class.annotations.inbound_binding
    return text
