"""The collections of PeerAuthentications, and which of their policies a workload names (facts wds, 5.7)."""

from collections.abc import Iterable, Mapping

from xds_server.mesh.policies.authorization import AuthorizationRow
from xds_server.mesh.policies.peer_authentications import Mode, PeerRule, oldest, peer_rule
from xds_server.mesh.policies.strictness import (
    STATIC_NAME,
    converted_policy,
    ineffective_ports,
    is_converted,
    is_strict,
    static_policy,
)
from xds_server.objects.policies import PeerAuthentication
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph
from xds_server.store.grouped import Grouped


class MutualTls:
    """
    What PeerAuthentications come to.

    A namespace has the mode of its oldest one without selector; one that is UNSET leaves the namespace
    to the root namespace. A workload is under the oldest one that selects it.
    """

    def __init__(self, graph: Graph, policies: Collection[PeerAuthentication], root: str) -> None:
        self._root = root
        self._static = f"{root}/{STATIC_NAME}"
        rules = Mapped(graph, "peer authentications", policies, peer_rule)
        by_namespace = Index(rules, "namespace without selector", lambda rule: rule.default_group)
        self._by_label = Index(rules, "selector label", lambda rule: rule.selection_group)
        together = Index(rules, "mesh", lambda _rule: (self._static,))
        self._modes: Collection[Mode] = Grouped(graph, "modes of namespaces", by_namespace, _mode_of)
        self.authorizations: tuple[Collection[AuthorizationRow], ...] = (
            Mapped(graph, "converted peer authentications", rules, self._converted),
            Grouped(graph, "static strict policy", together, lambda _rules: static_policy(root)),
        )

    def names_for(
        self, fetch: Fetch, namespace: str, groups: Iterable[str], labels: Mapping[str, str]
    ) -> list[str]:
        """Return which policies a workload names, sorted: the static one, a converted one, or none."""
        inherited = self._is_namespace_strict(fetch, namespace)
        rule = self._selecting(fetch, namespace, groups, labels)
        if rule is None:
            return [self._static] if inherited else []
        if is_converted(rule, inherited):
            return [rule.resource_name]
        return [self._static] if is_strict(rule.mode, inherited) else []

    def _converted(self, fetch: Fetch, _key: str, rule: PeerRule) -> AuthorizationRow | None:
        if rule.labels and rule.namespace == self._root:
            fetch.note("selector is of the root namespace: expected the workloads' own; it selects nothing")
        if rule.namespace == self._root or not rule.ports:
            return None
        if not rule.labels:
            fetch.note("portLevelMtls has no selector: expected one; its ports are not in force")
        inherited = self._is_namespace_strict(fetch, rule.namespace)
        for port in ineffective_ports(rule, inherited):
            fetch.note(f"portLevelMtls[{port}].mode is DISABLE: expected PERMISSIVE; the port stays strict")
        return converted_policy(rule, inherited)

    def _is_namespace_strict(self, fetch: Fetch, namespace: str) -> bool:
        mode = fetch.one(self._modes, namespace) or fetch.one(self._modes, self._root)
        return mode is Mode.STRICT

    def _selecting(
        self, fetch: Fetch, namespace: str, groups: Iterable[str], labels: Mapping[str, str]
    ) -> PeerRule | None:
        """Selectors in the root namespace select nothing."""
        if namespace == self._root:
            return None
        rules = [
            rule
            for group in groups
            for rule in fetch.group(self._by_label, group)
            if rule.labels and rule.labels.items() <= labels.items()
        ]
        return oldest(rules) if rules else None


def _mode_of(rules: list[PeerRule]) -> Mode | None:
    """None where the namespace decides nothing."""
    mode = oldest(rules).mode
    return None if mode is Mode.UNSET else mode
