"""What only the node knows: which devices carry its own addresses, and which lead to its pods."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xds_server.datapath import requests
from xds_server.datapath.kernel import Place
from xds_server.datapath.netlink import Netlink
from xds_server.datapath.observe_links import read_address, read_name, unpacked
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
    names = dict(read_name(body) for body in place.netlink.dump(requests.GET_LINK, requests.all_links()))
    routes = (host_routes_of(place.netlink, version, names) for version in FAMILIES)
    return Local(_own(place.netlink, names), {address: device for each in routes for address, device in each})


def _own(netlink: Netlink, names: Mapping[int, str]) -> Mapping[Address, str]:
    """Return addresses with their devices: of several, as pods' devices have their gateway's, the oldest."""
    oldest: dict[bytes, int] = {}
    for body in netlink.dump(requests.GET_ADDRESS, requests.all_addresses()):
        packed, _length, index = read_address(body)
        if packed and index in names:
            oldest[packed] = min(index, oldest.get(packed, index))
    return {unpacked(packed): names[index] for packed, index in oldest.items()}
