"""Why the ztunnel of a node may or may not have an identity: every check, and its result."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from xds_server.identity.authorization import Authorizer, Check, form_of
from xds_server.identity.caller import BoundPod, Caller, Proof
from xds_server.identity.spiffe import Identity
from xds_server.mesh.identities import account_of, is_finished, uid_of
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
    """Run every check for the ztunnel of ``node``. The cost is that of all pods: it is for people."""
    return Explanation(node, identity, tuple(_checks(authorizer, node, identity)))


def _checks(authorizer: Authorizer, node: str, text: str) -> Iterator[Check]:
    identity, form = form_of(text)
    yield form
    callers = [pod for pod in authorizer.identities.pods() if _is_node_pod(authorizer, pod, node)]
    yield _node(authorizer, node, bool(callers))
    yield _node_pod(authorizer, node, callers)
    if identity is None:
        return
    if callers:
        yield from authorizer.checks(_caller(authorizer, callers[0]), identity)
    else:
        yield authorizer.trust_domain_of(identity)
        yield authorizer.carried(node, identity)
    yield _pods(authorizer, identity)


def _node(authorizer: Authorizer, node: str, has_pods: bool) -> Check:
    expected = "a node of the cluster or of the placement map"
    placement = authorizer.identities.placement
    serves = [pair.cpu_node or pair.cpu_node_ip for pair in placement.placed_by_dpu.rows(node)]
    served_by = [pair.dpu_node or pair.dpu_node_ip for pair in placement.placed_by_cpu.rows(node)]
    if serves:
        found = f"a DPU node that serves {', '.join(serves)}"
    elif served_by:
        found = f"a CPU node served by {', '.join(served_by)}"
    elif any(single.node_name == node for single in placement.singles.rows.values()):
        found = "a single node"
    elif has_pods or node in placement.nodes.rows:
        found = "a node that is not in the placement map"
    else:
        return Check("node", False, "no such node", expected)
    return Check("node", True, found, expected)


def _is_node_pod(authorizer: Authorizer, pod: Pod, node: str) -> bool:
    trusted = account_of(pod) in authorizer.trusted_node_accounts
    return trusted and pod.spec.node_name == node and not is_finished(pod)


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


def _pods(authorizer: Authorizer, identity: Identity) -> Check:
    """Tell where pods of the account are, whether or not that decides anything."""
    pods = [pod for pod in authorizer.identities.pods() if account_of(pod) == identity.account]
    states = Counter(f"{pod.status.phase or 'Pending'} on {pod.spec.node_name or 'no node'}" for pod in pods)
    told = [f"{count} {state}" for state, count in sorted(states.items())]
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    found = ", ".join(told[:_SHOWN]) + more if told else "none"
    return Check("pods of the account", bool(pods), found, f"pods of {identity.account}")
