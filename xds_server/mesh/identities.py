"""Whose identities which node carries: pods by account and node, and the nodes a node serves."""
from xds_server.mesh.placement import Placement
from xds_server.objects.kubernetes import Pod
from xds_server.store.collection import Index, Source


def account_of(pod: Pod) -> str:
    return f"{pod.namespace}/{pod.spec.service_account_name or 'default'}"


class Identities:
    def __init__(self, pods: Source[Pod], placement: Placement) -> None:
        self._pods = pods
        self._placement = placement
        self._by_account_node = Index(pods, "account and node", _k)

    def pod(self, key: str) -> Pod | None:
        return self._pods.get(key)

    def carried_nodes(self, node: str) -> frozenset[str]:
        return frozenset({node, *(pair.cpu_node for pair in self._placement.placed.rows.values() if pair.dpu_node == node)})

    def carries_account(self, node: str, account: str) -> bool:
        return any(self._by_account_node.rows(f"{account}@{n}") for n in self.carried_nodes(node))


def _k(pod: Pod) -> tuple[str, ...]:
    if pod.status.phase in ("Succeeded", "Failed") or not pod.spec.node_name:
        return ()
    return (f"{account_of(pod)}@{pod.spec.node_name}",)
