"""Where a gateway is reached: by the host of its service, or by an IP address."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.address import ip_text, parse_ip
from xds_server.protobuf.workloadapi import workload_pb2 as api

HBONE_PORT = 15008


class GatewayPlace(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    A host of a namespace, or the packed ``ip`` of a network.

    A value, because rows of the graph are compared and shared; each use makes its own message.
    """

    hostname: str = ""
    namespace: str = ""
    ip: bytes = b""
    network: str = ""
    hbone_port: int = HBONE_PORT

    @property
    def ip_text(self) -> str:
        return ip_text(ip_address(self.ip))

    def message(self) -> api.GatewayAddress:
        if self.ip:
            address = api.NetworkAddress(network=self.network, address=self.ip)
            return api.GatewayAddress(address=address, hbone_mtls_port=self.hbone_port)
        host = api.NamespacedHostname(namespace=self.namespace, hostname=self.hostname)
        return api.GatewayAddress(hostname=host, hbone_mtls_port=self.hbone_port)


def ip_or_none(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address that may as well be a host name."""
    try:
        return parse_ip(text, "address")
    except InputError:
        return None
