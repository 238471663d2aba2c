"""Networks: the one the cluster's own workloads are on, and how others are reached (facts wds, 0.1, 2.7)."""

from xds_server.mesh.address import Address, workload_address
from xds_server.mesh.network_gateways import NETWORK_LABEL, NetworkGateway, network_gateways
from xds_server.objects.gateway_api import Gateway
from xds_server.objects.kubernetes import Namespace
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Expanded, Fetch, Mapped
from xds_server.store.graph import Graph


class Networks:
    """
    The local network: a setting, else a label of the namespace the control plane runs in.

    Other networks are known by their gateways, of which each address is a workload of its own.
    """

    def __init__(
        self,
        graph: Graph,
        namespaces: Collection[Namespace],
        gateways: Collection[Gateway],
        settings: MeshSettings,
    ) -> None:
        self.settings = settings
        self._labels: Collection[str] = Mapped(graph, "network labels", namespaces, _network_label)
        self._gateways = Expanded(graph, "network gateways", gateways, network_gateways)
        self._by_network = Index(self._gateways, "network", lambda row: (row.network,))
        self._by_uid = Index(self._gateways, "uid", lambda row: (row.uid,))
        self.addresses: Collection[Address] = Mapped(
            graph, "network gateway workloads", self._gateways, self._address
        )

    def local(self, fetch: Fetch) -> str:
        if self.settings.network:
            return self.settings.network
        return fetch.one(self._labels, self.settings.istio_namespace) or ""

    def gateway_of(self, fetch: Fetch, network: str) -> api.GatewayAddress | None:
        """Return where workloads of a network are reached: its first gateway, by namespace and name."""
        gateways = fetch.group(self._by_network, network)
        return gateways[0].place.message() if gateways else None

    def _address(self, fetch: Fetch, _key: str, gateway: NetworkGateway) -> Address | None:
        """Of two Gateways with one address, the first is the workload: a resource name is used once."""
        first = fetch.group(self._by_uid, gateway.uid)[0]
        if first != gateway:
            fetch.note(f"status.addresses: {gateway.uid} is that of Gateway {first.gateway} already")
            return None
        return workload_address(gateway.workload(self.settings.served_trust_domain), gateway.aliases)


def _network_label(_fetch: Fetch, _key: str, namespace: Namespace) -> str | None:
    return namespace.labels.get(NETWORK_LABEL)
