"""Why the ztunnel of a node may or may not have an identity: every check, and its result."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from xds_server.identity.authorization import Authorizer, Check, form_of
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.spiffe import Identity
from xds_server.mesh.identities import Identities, account_of, uid_of
from xds_server.mesh.placement import PlacedPair, Placement
from xds_server.objects.kubernetes import Pod

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Explanation:
    """All checks in their order; the identity is granted if all have passed."""

    node: str
    identity: str
    checks: tuple[Check, ...]

    @property
    def allowed(self) -> bool:
        return all(check.passed for check in self.checks)


def explain(authorizer: Authorizer, node: str, identity: str) -> Explanation:
    """Run every check for the ztunnel of ``node``. The cost is that of the identity's pods."""
    return Explanation(node, identity, tuple(_checks(authorizer, node, identity)))


def _checks(authorizer: Authorizer, node: str, text: str) -> Iterator[Check]:
    identity, form = form_of(text)
    yield form
    trusted = sorted(authorizer.trusted_node_accounts)
    callers = [pod for account in trusted for pod in authorizer.identities.pods_on(account, node)]
    yield _node(authorizer.identities, node, bool(callers))
    yield _node_pod(authorizer, node, callers)
    if identity is None:
        return
    if callers:
        yield from authorizer.checks(_caller(authorizer, callers[0]), identity)
    else:
        yield authorizer.trust_domain_of(identity)
        yield authorizer.carried(node, identity)
    yield _pods(authorizer.identities, identity)


def _node(identities: Identities, node: str, has_pods: bool) -> Check:
    """Tell the role of a node, and where a pair of it in the map is not in force."""
    placement = identities.placement
    roles = []
    if serves := placement.placed_by_dpu.rows(node):
        roles.append(f"a DPU node that serves {', '.join(_cpu_side(identities, pair) for pair in serves)}")
    if served_by := placement.placed_by_cpu.rows(node):
        in_force = served_by[0]
        unnamed = f"no node we know: nothing names the one at {in_force.dpu_node_ip}"
        roles.append(f"a CPU node served by {in_force.dpu_node or unnamed}")
    if _is_single(placement, node):
        roles.append("a single node")
    if not roles and (has_pods or node in placement.nodes.rows):
        roles.append("a node that is not in the placement map")
    found = " and ".join(roles) or "no such node"
    return Check("node", bool(roles), found, "a node of the cluster or of the placement map")


def _cpu_side(identities: Identities, pair: PlacedPair) -> str:
    if not pair.cpu_node:
        return f"{pair.cpu_node_ip} (nothing names that node, so nothing of it is carried)"
    serving = identities.serving_node(pair.cpu_node)
    if serving != pair.dpu_node:
        return f"{pair.cpu_node} (not carried: another pair, with {serving}, is in force)"
    return pair.cpu_node


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


def _caller(authorizer: Authorizer, pod: Pod) -> Caller:
    namespace, _, account = account_of(pod).partition("/")
    return Caller(
        identity=Identity(authorizer.trust_domain, namespace, account),
        proof=Proof.TOKEN,
        expires_at=0.0,
        pod=BoundPod(f"{pod.namespace}/{pod.name}", uid_of(pod)),
        node=pod.spec.node_name or "",
    )


def _pods(identities: Identities, identity: Identity) -> Check:
    """Tell where pods of the account are, whether or not that decides anything."""
    pods = list(identities.pods_of(identity.account))
    states = Counter(f"{pod.status.phase or 'Pending'} on {pod.spec.node_name or 'no node'}" for pod in pods)
    told = [f"{count} {state}" for state, count in sorted(states.items())]
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    found = ", ".join(told[:_SHOWN]) + more if told else "none"
    return Check("pods of the account", bool(pods), found, f"pods of {identity.account}")
