"""
Which identities a node carries: those of the pods that are bound to it or to a CPU node it serves.

A pod counts from the moment it is bound to a node until it is finished, whatever else it says of
itself: its ztunnel needs the certificate before the pod is ready (field facts, U25).

Workloads are in the first cluster. Where DPU nodes are in a second one, pods there carry nothing of
their own: a ztunnel there carries CPU nodes by the placement map, and one of the first cluster
carries its own node and nothing by the map, whatever its node is called (field facts, U24).
"""

from collections.abc import Iterator

from xds_server.mesh.placement import DPU_CLUSTER, Placement
from xds_server.objects.kubernetes import Pod
from xds_server.store.collection import Collection, Index

FINISHED = ("Succeeded", "Failed")


def account_of(pod: Pod) -> str:
    """Return ``namespace/service account``; Kubernetes fills in ``default``, a manifest may not."""
    return f"{pod.namespace}/{pod.spec.service_account_name or 'default'}"


def uid_of(pod: Pod) -> str:
    """Return the pod's UID; one from a manifest that has none goes by its name instead."""
    return pod.metadata.uid or f"{pod.namespace}.{pod.name}"


def is_finished(pod: Pod) -> bool:
    return pod.status.phase in FINISHED


class ClusterPods:
    """The pods of one cluster, by account and node."""

    def __init__(self, pods: Collection[Pod]) -> None:
        self._pods = pods
        self._by_account = Index(pods, "account and node", _account_and_node)

    def pod(self, key: str) -> Pod | None:
        """Return the pod ``namespace/name``."""
        return self._pods.get(key)

    def pods_of(self, account: str) -> Iterator[Pod]:
        """Yield every pod of an account, bound or not, finished or not, in no order."""
        return (self._pods.rows[key] for key in self._by_account.groups.get(account))

    def pods_on(self, account: str, node: str) -> list[Pod]:
        """Return the pods of an account that are bound to this very node and not finished, by name."""
        return self._by_account.rows(f"{account}@{node}") if node else []

    def runs_on(self, account: str, node: str) -> bool:
        """Tell whether a pod of the account is bound to this very node and not finished."""
        return bool(node) and bool(self._by_account.groups.get(f"{account}@{node}"))

    def runs(self, account: str) -> bool:
        """Tell whether a pod of the account is bound to any node and not finished."""
        return bool(self._by_account.groups.get(f"{account}@"))

    def nodes(self) -> Iterator[tuple[str, str]]:
        """Yield each account with each node a pod of it is bound to and not finished."""
        for group in self._by_account.groups:
            account, _, node = group.partition("@")
            if node:
                yield account, node


class Identities(ClusterPods):
    """The pods whose identities these are, and who carries them; ``dpu_pods`` are of the second cluster."""

    def __init__(self, pods: Collection[Pod], dpu_pods: Collection[Pod], placement: Placement) -> None:
        super().__init__(pods)
        self.placement = placement
        self._dpu_pods = ClusterPods(dpu_pods)

    def within(self, cluster: str) -> ClusterPods:
        """Return the pods among which a caller is that was proved by this cluster."""
        return self._dpu_pods if cluster == DPU_CLUSTER else self

    def carried_nodes(self, node: str, cluster: str = "") -> tuple[str, ...]:
        """Return the nodes, of the first cluster, whose pods a ztunnel on ``node`` of a cluster carries."""
        if not self.placement.two_clusters:
            return (node, *self._served_nodes(node)) if not cluster else ()
        return self._served_nodes(node) if cluster == DPU_CLUSTER else (node,)

    def _served_nodes(self, dpu_node: str) -> tuple[str, ...]:
        pairs = self.placement.placed_by_dpu.rows(dpu_node)
        named = dict.fromkeys(pair.cpu_node for pair in pairs)
        return tuple(name for name in named if self.dpu_node_of(name) == dpu_node)

    def dpu_node_of(self, node: str) -> str:
        """Return the DPU node that the pair in force of a CPU node names; '' where there is none."""
        placed = self.placement.placed_by_cpu.rows(node)
        return placed[0].dpu_node if placed else ""

    def serving_node(self, node: str) -> str:
        """Return the node whose ztunnel serves pods of ``node``, as placement says now."""
        return self.dpu_node_of(node) or node

    def carries(self, node: str, account: str, cluster: str = "") -> bool:
        """Tell whether a ztunnel on ``node`` of a cluster carries a pod of the account."""
        return any(self.runs_on(account, carried) for carried in self.carried_nodes(node, cluster))

    def accounts(self, node_accounts: frozenset[str] = frozenset()) -> dict[str, set[str]]:
        """
        Return, by account, the nodes that may hold its identity; the cost is that of all pods.

        In the DPU cluster only ``node_accounts`` have an identity of their own.
        """
        found: dict[str, set[str]] = {}
        for account, node in self.nodes():
            found.setdefault(account, set()).update((node, self.serving_node(node)))
        for account, node in self._dpu_pods.nodes():
            if account in node_accounts:
                found.setdefault(account, set()).add(node)
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
