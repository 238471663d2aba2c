"""WorkloadEntries: one workload each, even without an address (facts wds, 2.2 to 2.5)."""

from collections.abc import Mapping

from xds_server.mesh.address import Address
from xds_server.mesh.membership import Membership
from xds_server.mesh.service_ports import stated_ports
from xds_server.mesh.stated_workloads import Statement, stated_workload
from xds_server.objects.networking import WorkloadEntry
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

_NAME_LABEL = "service.istio.io/workload-name"


class WorkloadEntries:
    """The collection of their workloads."""

    def __init__(self, graph: Graph, entries: Collection[WorkloadEntry], membership: Membership) -> None:
        self._membership = membership
        self.addresses: Collection[Address] = Mapped(graph, "workload entries", entries, self._workload)

    def _workload(self, fetch: Fetch, key: str, entry: WorkloadEntry) -> Address:
        labels = entry.effective_labels
        said = Statement(
            uid=f"{self._membership.settings.cluster_id}/networking.istio.io/WorkloadEntry/{key}",
            name=entry.name,
            namespace=entry.namespace,
            workload_name=_workload_name(entry, labels or {}),
            labels=labels,
            waypoint_labels=labels or {},
            annotations=entry.annotations,
            network=entry.spec.network or self._membership.networks.local(fetch),
            spec=entry.spec,
        )
        return stated_workload(fetch, self._membership, said, self._services(fetch, entry, labels or {}))

    def _services(
        self, fetch: Fetch, entry: WorkloadEntry, labels: Mapping[str, str]
    ) -> dict[str, api.PortList]:
        by_services = self._membership.settings.services_select_workload_entries
        stated = entry.spec.ports or {}
        return {
            target.resource_name: api.PortList(ports=stated_ports(stated, target.ports))
            for target in self._membership.targets.selecting(fetch, entry.namespace, labels)
            if target.is_entry or by_services
        }


def _workload_name(entry: WorkloadEntry, labels: Mapping[str, str]) -> str:
    group = entry.annotations.auto_registration_group
    return labels.get(_NAME_LABEL, entry.name) if group is None else group
