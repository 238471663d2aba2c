"""Addresses in one line each, and a catalog that a test edits."""

from collections.abc import Iterable
from ipaddress import ip_address

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.served_type import LOG_CAPACITY
from xds_server.mesh.address import Address, ip_text, service_address, workload_address
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Change


def workload(
    uid: str,
    revision: str = "",
    *,
    ips: Iterable[str] = (),
    services: Iterable[str] = (),
    node: str = "",
    network: str = "",
) -> Address:
    """A workload whose body differs with ``revision``."""
    parsed = [ip_address(ip) for ip in ips]
    message = api.Workload(
        uid=uid,
        canonical_revision=revision,
        network=network,
        node=node,
        addresses=[ip.packed for ip in parsed],
        services={name: api.PortList() for name in services},
    )
    return workload_address(message, (f"{network}/{ip_text(ip)}" for ip in parsed))


def service(name: str, revision: str = "", *, vips: Iterable[str] = (), network: str = "") -> Address:
    """A service named ``namespace/hostname`` whose body differs with ``revision``."""
    namespace, hostname = name.split("/")
    parsed = [ip_address(vip) for vip in vips]
    message = api.Service(
        name=revision,
        namespace=namespace,
        hostname=hostname,
        addresses=[api.NetworkAddress(network=network, address=ip.packed) for ip in parsed],
    )
    return service_address(message, (f"{network}/{ip_text(ip)}" for ip in parsed))


class ServedMesh:
    """A catalog, and the addresses it was given last."""

    def __init__(self, *addresses: Address, log_capacity: int = LOG_CAPACITY) -> None:
        self.catalog = Catalog(log_capacity)
        self.addresses: dict[str, Address] = {}
        if addresses:
            self.publish(*addresses)

    def stage(self, *addresses: Address, without: Iterable[str] = ()) -> None:
        """Add or replace addresses, and remove names, for the next publication."""
        changes = {address.name: Change(self.addresses.get(address.name), address) for address in addresses}
        changes |= {name: Change(self.addresses[name], None) for name in without}
        for name, (_, new) in changes.items():
            if new is None:
                del self.addresses[name]
            else:
                self.addresses[name] = new
        self.catalog.stage_addresses(changes)

    def publish(self, *addresses: Address, without: Iterable[str] = ()) -> int:
        self.stage(*addresses, without=without)
        return self.catalog.publish()
