"""
Policies that let waypoints reach what is bound to them, where the mesh is set to make them.

Rules: facts wds, 5.6. They are named by workloads, each by those that its own waypoint and the
waypoints of its services need.
"""

from collections.abc import Iterable

import msgspec

from xds_server.mesh.policies.authorization import AuthorizationRow
from xds_server.mesh.policies.waypoint_policies import (
    WaypointAccounts,
    waypoint_policy,
    waypoint_policy_names,
)
from xds_server.mesh.service_entries import PublishedEntry, ServiceEntries
from xds_server.mesh.services import Services
from xds_server.mesh.waypoints.bindings import Waypoints
from xds_server.mesh.waypoints.gateways import Waypoint
from xds_server.objects.kubernetes import Service
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Expanded, Fetch, Mapped
from xds_server.store.graph import Graph
from xds_server.store.joined import Joined


class BoundService(msgspec.Struct, frozen=True, gc=False):
    """A service by its resource name, and the Gateway (``namespace/name``) it uses."""

    resource_name: str
    gateway: str


class WaypointAllowances:
    """The collections of these policies."""

    def __init__(
        self,
        graph: Graph,
        waypoints: Waypoints,
        services: Services,
        entries: ServiceEntries,
        trust_domain: str,
    ) -> None:
        self._waypoints = waypoints
        self._services = services
        self._entries = entries
        self._accounts: Collection[WaypointAccounts] = Mapped(
            graph, "waypoint accounts", waypoints.rows, self._accounts_of
        )
        self.authorizations: Collection[AuthorizationRow] = Mapped(
            graph,
            "waypoint allowances",
            self._accounts,
            lambda _fetch, _key, row: waypoint_policy(row, trust_domain),
        )
        of_services = Mapped(graph, "waypoints of services", services.rows, self._of_service)
        of_entries = Expanded(graph, "waypoints of service entries", entries.published, self._of_entry)
        bound = Joined(graph, "bound services", of_services, of_entries)
        self._by_name = Index(bound, "resource name", lambda row: (row.resource_name,))

    def names_for(self, fetch: Fetch, own: str, services: Iterable[str]) -> list[str]:
        """Name the policies of a workload whose own Gateway is ``own``, '' for none, and of its services."""
        gateways = [own] if own else []
        for service in sorted(services):
            gateways += (row.gateway for row in fetch.group(self._by_name, service))
        found = [fetch.one(self._accounts, gateway) for gateway in dict.fromkeys(gateways)]
        return waypoint_policy_names(accounts for accounts in found if accounts is not None)

    def _accounts_of(self, fetch: Fetch, key: str, _waypoint: Waypoint) -> WaypointAccounts | None:
        namespace, _, name = key.partition("/")
        accounts = self._waypoints.service_accounts(fetch, key)
        return WaypointAccounts(namespace, name, tuple(accounts)) if accounts else None

    def _of_service(self, fetch: Fetch, key: str, service: Service) -> BoundService | None:
        target = fetch.one(self._services.targets, key)
        gateway = self._services.binding(fetch, service).gateway
        return BoundService(target.resource_name, gateway) if target and gateway else None

    def _of_entry(self, fetch: Fetch, key: str, row: PublishedEntry) -> dict[str, BoundService]:
        gateway = self._entries.binding(fetch, row).gateway
        if not gateway:
            return {}
        return {
            host: BoundService(f"{row.entry.namespace}/{host}", gateway)
            for host in self._entries.held_hosts(fetch, key, row)
        }
