"""Addresses in one line each, and a catalog that a test edits."""

from collections.abc import Iterable
from ipaddress import ip_address

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.served_type import LOG_CAPACITY
from xds_server.mesh.address import Address, ip_text, service_address, workload_address
from xds_server.mesh.policies.authorization import AuthorizationRow
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security
from xds_server.store.collection import Change


def workload(
    uid: str,
    revision: str = "",
    *,
    ips: Iterable[str] = (),
    services: Iterable[str] = (),
    node: str = "",
    network: str = "",
    policies: Iterable[str] = (),
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
        authorization_policies=policies,
    )
    return workload_address(message, (f"{network}/{ip_text(ip)}" for ip in parsed))


def service(
    name: str,
    revision: str = "",
    *,
    vips: Iterable[str] = (),
    network: str = "",
    admits_unready: bool = False,
) -> Address:
    """A service named ``namespace/hostname`` whose body differs with ``revision``."""
    namespace, hostname = name.split("/")
    parsed = [ip_address(vip) for vip in vips]
    message = api.Service(
        name=revision,
        namespace=namespace,
        hostname=hostname,
        addresses=[api.NetworkAddress(network=network, address=ip.packed) for ip in parsed],
    )
    if admits_unready:
        message.load_balancing.health_policy = api.LoadBalancing.ALLOW_ALL
    return service_address(message, (f"{network}/{ip_text(ip)}" for ip in parsed))


def policy(name: str, scope: str = "WORKLOAD_SELECTOR", revision: int = 0) -> AuthorizationRow:
    """A policy named ``namespace/name`` whose body differs with ``revision``."""
    namespace, own_name = name.split("/")
    message = security.Authorization(
        name=own_name,
        namespace=namespace,
        scope=scope,
        groups=[security.Group()] * revision,
    )
    return AuthorizationRow(name, message.SerializeToString(deterministic=True))


class ServedMesh:
    """A catalog, and the addresses and policies it was given last."""

    def __init__(self, *addresses: Address, log_capacity: int = LOG_CAPACITY) -> None:
        self.catalog = Catalog(log_capacity)
        self.addresses: dict[str, Address] = {}
        self.policies: dict[str, AuthorizationRow] = {}
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

    def stage_policies(self, *policies: AuthorizationRow, without: Iterable[str] = ()) -> None:
        """Add or replace policies, and remove names, for the next publication."""
        changes = {policy.name: Change(self.policies.get(policy.name), policy) for policy in policies}
        changes |= {name: Change(self.policies.pop(name), None) for name in without}
        self.policies |= {policy.name: policy for policy in policies}
        self.catalog.stage_authorizations(changes)

    def publish(self, *addresses: Address, without: Iterable[str] = ()) -> int:
        self.stage(*addresses, without=without)
        return self.catalog.publish()
