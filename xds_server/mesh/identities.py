"""
Which identities a node carries: those of the pods that are bound to it or to a CPU node it serves.

A pod counts from the moment it is bound to a node until it is finished, whatever else it says of
itself: its ztunnel needs the certificate before the pod is ready (field facts, U25).
"""

from collections.abc import Iterator

from xds_server.mesh.placement import Placement
from xds_server.objects.kubernetes import Pod
from xds_server.store.collection import Index, Source

FINISHED = ("Succeeded", "Failed")


def account_of(pod: Pod) -> str:
    """Return ``namespace/service account``; Kubernetes fills in ``default``, a manifest may not."""
    return f"{pod.namespace}/{pod.spec.service_account_name or 'default'}"


def uid_of(pod: Pod) -> str:
    """Return the pod's UID; one from a manifest that has none goes by its name instead."""
    return pod.metadata.uid or f"{pod.namespace}.{pod.name}"


def is_finished(pod: Pod) -> bool:
    return pod.status.phase in FINISHED


class Identities:
    """Answers from the present state alone, at a cost that does not grow with the mesh."""

    def __init__(self, pods: Source[Pod], placement: Placement) -> None:
        self._pods = pods
        self._placement = placement
        self._by_account = Index(pods, "account and node", _account_and_node)

    @property
    def placement(self) -> Placement:
        return self._placement

    def pod(self, key: str) -> Pod | None:
        """Return the pod ``namespace/name``."""
        return self._pods.get(key)

    def pods_of(self, account: str) -> Iterator[Pod]:
        """Yield every pod of an account, bound or not, finished or not, in no order."""
        return (self._pods.rows[key] for key in self._by_account.groups.get(account))

    def pods_on(self, account: str, node: str) -> list[Pod]:
        """Return the pods of an account that are bound to this very node and not finished, by name."""
        return self._by_account.rows(f"{account}@{node}") if node else []

    def carried_nodes(self, node: str) -> tuple[str, ...]:
        """Return the nodes whose pods the ztunnel of ``node`` carries: itself and CPU nodes it serves."""
        served = (pair.cpu_node for pair in self._placement.placed_by_dpu.rows(node))
        return (node, *dict.fromkeys(name for name in served if self.serving_node(name) == node))

    def serving_node(self, node: str) -> str:
        """Return the node whose ztunnel serves pods of ``node``, as placement says now."""
        placed = self._placement.placed_by_cpu.rows(node)
        return placed[0].dpu_node or node if placed else node

    def runs_on(self, account: str, node: str) -> bool:
        """Tell whether a pod of the account is bound to this very node and not finished."""
        return bool(node) and bool(self._by_account.groups.get(f"{account}@{node}"))

    def runs(self, account: str) -> bool:
        """Tell whether a pod of the account is bound to any node and not finished."""
        return bool(self._by_account.groups.get(f"{account}@"))

    def carries(self, node: str, account: str) -> bool:
        """Tell whether the ztunnel of ``node`` carries a pod of the account."""
        return any(self.runs_on(account, carried) for carried in self.carried_nodes(node))

    def accounts(self) -> dict[str, set[str]]:
        """Return, by account, the nodes that carry it; the cost is that of all pods."""
        found: dict[str, set[str]] = {}
        for group in self._by_account.groups:
            account, _, node = group.partition("@")
            if node:
                found.setdefault(account, set()).update((node, self.serving_node(node)))
        return found


def _account_and_node(pod: Pod) -> tuple[str, ...]:
    """
    Group by ``account``; a pod that counts also by ``account@`` (anywhere) and ``account@node``.

    No name of Kubernetes holds an ``@``, but nothing keeps a manifest from it: such a pod is nobody's,
    or account ``pay@cpu-a`` anywhere would be taken for account ``pay`` on node ``cpu-a``.
    """
    account, node = account_of(pod), pod.spec.node_name or ""
    if "@" in account or "@" in node:
        return ()
    if is_finished(pod) or not node:
        return (account,)
    return (account, f"{account}@", f"{account}@{node}")
