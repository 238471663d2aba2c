"""Why the ztunnel of a node may or may not have an identity: every check, and its result."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from xds_server.identity.authorization import Authorizer, Check, form_of
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.spiffe import Identity
from xds_server.mesh.identities import Identities, account_of, uid_of
from xds_server.mesh.placement import DPU_CLUSTER, PlacedPair, Placement, name_in
from xds_server.objects.kubernetes import Pod

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Explanation:
    """All checks in their order; the identity is granted if all have passed."""

    cluster: str
    """Of the node: the first, or ``DPU_CLUSTER``."""
    node: str
    identity: str
    checks: tuple[Check, ...]

    @property
    def allowed(self) -> bool:
        return all(check.passed for check in self.checks)


def explain(authorizer: Authorizer, node: str, identity: str, cluster: str | None = None) -> Explanation:
    """
    Run every check for the ztunnel of ``node``. The cost is that of the identity's pods.

    Of two nodes of that name, and with no ``cluster`` told, the one of the first is meant.
    """
    if cluster is None:
        cluster = next((one for one in ("", DPU_CLUSTER) if _roles(authorizer, node, one)), "")
    return Explanation(cluster, node, identity, tuple(_checks(authorizer, node, cluster, identity)))


def _checks(authorizer: Authorizer, node: str, cluster: str, text: str) -> Iterator[Check]:
    identity, form = form_of(text)
    yield form
    callers = _node_pods(authorizer, node, cluster)
    yield _node(authorizer, node, cluster)
    yield _node_pod(authorizer, name_in(cluster, node), callers)
    if identity is None:
        return
    if callers:
        yield from authorizer.checks(_caller(authorizer, callers[0], cluster), identity)
    else:
        yield authorizer.trust_domain_of(identity)
        yield authorizer.carried(node, identity, cluster)
    yield _pods(authorizer.identities, identity)


def _node_pods(authorizer: Authorizer, node: str, cluster: str) -> list[Pod]:
    pods = authorizer.identities.within(cluster)
    trusted = sorted(authorizer.trusted_node_accounts)
    return [pod for account in trusted for pod in pods.pods_on(account, node)]


def _node(authorizer: Authorizer, node: str, cluster: str) -> Check:
    roles = _roles(authorizer, node, cluster)
    found = " and ".join(roles) or "no such node"
    expected = "a node of the cluster or of the placement map"
    if authorizer.identities.placement.two_clusters:
        here, other = ("DPU", "first") if cluster else ("first", "DPU")
        found = f"in the {here} cluster {found}"
        if _roles(authorizer, node, "" if cluster else DPU_CLUSTER):
            found += f"; there is another {node} in the {other} cluster"
    return Check("node", bool(roles), found, expected)


def _roles(authorizer: Authorizer, node: str, cluster: str) -> list[str]:
    """Tell the roles of a node, and where a pair of it in the map is not in force."""
    identities = authorizer.identities
    placement = identities.placement
    in_dpu_cluster = cluster == DPU_CLUSTER
    if in_dpu_cluster and not placement.two_clusters:
        return []
    roles: list[str] = []
    if in_dpu_cluster is placement.two_clusters and (serves := placement.placed_by_dpu.rows(node)):
        roles.append(f"a DPU node that serves {', '.join(_cpu_side(identities, pair) for pair in serves)}")
    if not in_dpu_cluster and (served_by := placement.placed_by_cpu.rows(node)):
        in_force = served_by[0]
        unnamed = f"no node we know: nothing names the one at {in_force.dpu_node_ip}"
        roles.append(f"a CPU node served by {in_force.dpu_node or unnamed}")
    if not in_dpu_cluster and _is_single(placement, node):
        roles.append("a single node")
    nodes = placement.dpu_nodes if in_dpu_cluster else placement.nodes
    if not roles and (node in nodes.rows or _node_pods(authorizer, node, cluster)):
        roles.append("a node that is not in the placement map")
    return roles


def _cpu_side(identities: Identities, pair: PlacedPair) -> str:
    if not pair.cpu_node:
        return f"{pair.cpu_node_ip} (nothing names that node, so nothing of it is carried)"
    if identities.dpu_node_of(pair.cpu_node) == pair.dpu_node:
        return pair.cpu_node
    serving = identities.serving_node(pair.cpu_node)
    return f"{pair.cpu_node} (not carried: another pair, with {serving}, is in force)"


def _is_single(placement: Placement, node: str) -> bool:
    known = placement.nodes.get(node)
    ips = known.internal_ips if known else ()
    singles = placement.singles.rows.values()
    return any(
        single.node_name == node or (not single.node_name and single.node_ip in ips) for single in singles
    )


def _node_pod(authorizer: Authorizer, node: str, pods: list[Pod]) -> Check:
    names = ", ".join(f"{pod.namespace}/{pod.name}" for pod in pods[:_SHOWN]) or "none"
    accounts = " or ".join(sorted(authorizer.trusted_node_accounts)) or "an account, but none is trusted"
    return Check("node account", bool(pods), names, f"a pod of {accounts} running on {node}")


def _caller(authorizer: Authorizer, pod: Pod, cluster: str) -> Caller:
    namespace, _, account = account_of(pod).partition("/")
    return Caller(
        identity=Identity(authorizer.trust_domain, namespace, account),
        proof=Proof.TOKEN,
        expires_at=0.0,
        pod=BoundPod(f"{pod.namespace}/{pod.name}", uid_of(pod), cluster),
        node=pod.spec.node_name or "",
    )


def _pods(identities: Identities, identity: Identity) -> Check:
    """Tell where pods of the account are, whether or not that decides anything."""
    states = Counter(
        f"{pod.status.phase or 'Pending'} on {name_in(cluster, pod.spec.node_name or 'no node')}"
        for cluster in ("", DPU_CLUSTER)
        for pod in identities.within(cluster).pods_of(identity.account)
    )
    told = [f"{count} {state}" for state, count in sorted(states.items())]
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    found = ", ".join(told[:_SHOWN]) + more if told else "none"
    return Check("pods of the account", bool(told), found, f"pods of {identity.account}")
