"""Policies that let a waypoint reach its workloads although no policy says so (facts wds, 5.6)."""

from collections.abc import Iterable

import msgspec

from xds_server.mesh.policies.authorization import AuthorizationRow, workload_policy
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security


class WaypointAccounts(msgspec.Struct, frozen=True, gc=False):
    """A waypoint and the service accounts that its pods run under, sorted."""

    namespace: str
    name: str
    accounts: tuple[str, ...]

    @property
    def policy(self) -> str:
        return f"istio_allow_waypoint_{self.namespace}_{self.name}"


def waypoint_policy(waypoint: WaypointAccounts, trust_domain: str) -> AuthorizationRow | None:
    """Allow a waypoint by its identities; None while it has none."""
    if not waypoint.accounts:
        return None
    principals = [
        security.StringMatch(exact=f"{trust_domain}/ns/{waypoint.namespace}/sa/{account}")
        for account in waypoint.accounts
    ]
    rules = security.Rules(matches=[security.Match(principals=principals)])
    group = security.Group(rules=[rules])
    return workload_policy(waypoint.namespace, waypoint.policy, security.Action.ALLOW, [group])


def waypoint_policy_names(waypoints: Iterable[WaypointAccounts]) -> list[str]:
    """Name the policies of a workload's own waypoint, then of those of its services, each once."""
    names = [f"{waypoint.namespace}/{waypoint.policy}" for waypoint in waypoints if waypoint.accounts]
    return list(dict.fromkeys(names))
