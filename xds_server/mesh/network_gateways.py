"""Gateways to other networks, and the workloads they are (facts wds, 2.7)."""

import msgspec

from xds_server.mesh.gateway_address import GatewayPlace, ip_or_none
from xds_server.objects.gateway_api import Gateway
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.derive import Fetch

NETWORK_LABEL = "topology.istio.io/network"
_REMOTE_CLASS = "istio-remote"
_ADDRESS_TYPES = ("IPAddress", "Hostname")


class NetworkGateway(msgspec.Struct, frozen=True, gc=False):
    """One address of a Gateway (``namespace/name``) to a network."""

    gateway: str
    uid: str
    namespace: str
    service_account: str
    network: str
    place: GatewayPlace

    @property
    def aliases(self) -> tuple[str, ...]:
        return (f"{self.network}/{self.place.ip_text}",) if self.place.ip else ()

    def workload(self, trust_domain: str) -> api.Workload:
        """Return its message; a gateway takes plain traffic as far as others are concerned."""
        return api.Workload(
            uid=self.uid,
            name=self.uid,
            namespace=self.namespace,
            addresses=[self.place.ip] if self.place.ip else [],
            hostname=self.place.hostname,
            network=self.network,
            trust_domain=trust_domain,
            service_account=self.service_account,
        )


def network_gateways(fetch: Fetch, key: str, gateway: Gateway) -> dict[str, NetworkGateway]:
    """Return a row for each address, in the order of its status."""
    network = gateway.labels.get(NETWORK_LABEL)
    if gateway.spec.gateway_class_name != _REMOTE_CLASS or not network:
        return {}
    port = next((item.port for item in gateway.spec.listeners or () if item.protocol == "HBONE"), None)
    if port is None:
        fetch.note("spec.listeners has no listener of protocol HBONE: expected one, it leads to no network")
        return {}
    account = gateway.annotations.gateway_service_account
    # An address given twice is one; the place of each tells their order, which names would not.
    texts = dict.fromkeys(
        item.value for item in gateway.status.addresses or () if item.type in _ADDRESS_TYPES
    )
    rows = {}
    for place, text in enumerate(texts):
        rows[f"{place:03}"] = NetworkGateway(
            gateway=key,
            uid=f"NetworkGateway/{network}/{text}/{port}",
            namespace=gateway.namespace,
            service_account=f"{gateway.name}-istio-remote" if account is None else account,
            network=network,
            place=_place(gateway, network, text, port),
        )
    return rows


def _place(gateway: Gateway, network: str, text: str, port: int) -> GatewayPlace:
    """What an address is is read from its text, whatever its type says."""
    ip = ip_or_none(text)
    if ip is None:
        return GatewayPlace(hostname=text, namespace=gateway.namespace, hbone_port=port)
    return GatewayPlace(ip=ip.packed, network=network, hbone_port=port)
