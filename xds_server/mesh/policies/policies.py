"""
All policies, and which of them a workload names (facts wds, 5.5).

    authorization policies ─┬─> authorizations
                            └─> policy selections ─────────────┐
    peer authentications ─┬─> peer rules ─┬─> modes of namespaces ─┐
                          │               ├─> converted <──────────┤
                          │               └────────────────────────┴─> names of a workload
                          └─> static strict policy

Policies of a whole namespace or of the mesh are not named: a ztunnel finds them by their scope.
"""

from collections.abc import Mapping

from xds_server.mesh.policies.authorization import AuthorizationRow
from xds_server.mesh.policies.authorization_policies import PolicyConversion, Selection
from xds_server.mesh.policies.mutual_tls import MutualTls
from xds_server.mesh.targets import label_group
from xds_server.objects.policies import AuthorizationPolicy, PeerAuthentication
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph


class Policies:
    """The collections of policies."""

    def __init__(
        self,
        graph: Graph,
        authorization_policies: Collection[AuthorizationPolicy],
        peer_authentications: Collection[PeerAuthentication],
        settings: MeshSettings,
    ) -> None:
        self._root = settings.root_namespace
        conversion = PolicyConversion(settings)
        authorizations = Mapped(graph, "authorizations", authorization_policies, conversion.authorization)
        selections = Mapped(graph, "policy selections", authorization_policies, conversion.selection)
        self._by_label: Index[Selection] = Index(selections, "selector label", lambda row: (row.group,))
        self._mutual_tls = MutualTls(graph, peer_authentications, self._root)
        self.authorizations: tuple[Collection[AuthorizationRow], ...] = (
            authorizations,
            *self._mutual_tls.authorizations,
        )

    def names_for(self, fetch: Fetch, namespace: str, labels: Mapping[str, str] | None) -> list[str]:
        """
        Return the resource names of the policies that a workload must name, in istiod's order.

        A workload without labels is selected by nothing that selects by labels.
        """
        labels = labels or {}
        groups = [label_group(namespace, name, value) for name, value in labels.items()]
        selecting = self._selecting(fetch, groups, labels)
        if namespace != self._root:
            of_root = [label_group(self._root, name, value) for name, value in labels.items()]
            selecting += self._selecting(fetch, of_root, labels)
        return [*sorted(selecting), *self._mutual_tls.names_for(fetch, namespace, groups, labels)]

    def _selecting(self, fetch: Fetch, groups: list[str], labels: Mapping[str, str]) -> list[str]:
        return [
            selection.name
            for group in groups
            for selection in fetch.group(self._by_label, group)
            if selection.labels.items() <= labels.items()
        ]
