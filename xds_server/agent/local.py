"""What only the node knows: which devices carry its own addresses, and which lead to its pods."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from xds_server.datapath.kernel import Place
from xds_server.datapath.observe_links import devices_of
from xds_server.datapath.observe_routes import FAMILIES, host_routes_of
from xds_server.datapath.program import Address


@dataclass(frozen=True, slots=True)
class Local:
    """Names of devices: by the node's own addresses, and by the addresses that host routes lead to."""

    own: Mapping[Address, str] = field(default_factory=dict)
    pods: Mapping[Address, str] = field(default_factory=dict)


def read_local(place: Place) -> Local:
    """
    Look.

    Raises:
        KernelError: the kernel does not tell.

    """
    devices = devices_of(place.netlink)
    own: dict[IPv4Address | IPv6Address, str] = {}
    for device in sorted(devices.values(), key=lambda each: each.index, reverse=True):
        # Of two devices with one address, as pods' devices have their gateway's, the older one counts.
        own.update((interface.ip, device.name) for interface in device.addresses)
    routes = (host_routes_of(place.netlink, version, devices) for version in FAMILIES)
    return Local(own, {address: device for each in routes for address, device in each})
