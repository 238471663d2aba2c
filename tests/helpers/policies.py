"""The policies of a mesh alone: YAML in, messages and names out."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import msgspec

from tests.helpers.objects import put, remove
from xds_server.mesh.policies.policies import Policies
from xds_server.objects.kubernetes import KubernetesObject
from xds_server.objects.policies import AuthorizationPolicy, PeerAuthentication
from xds_server.protobuf.workloadapi.security import authorization_pb2 as security
from xds_server.settings import MeshSettings
from xds_server.store.derive import Derivation, Fetch, Mapped
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry


class Labelled(msgspec.Struct, frozen=True):
    """As much of a workload as policies look at."""

    namespace: str
    labels: dict[str, str] | None


class PoliciesUnderTest:
    """Feed it YAML, objects and workloads; read what is served and what the workloads name."""

    def __init__(self, *texts: str, **settings: Any) -> None:
        self.graph = Graph()
        self.registry = Registry(self.graph, (AuthorizationPolicy, PeerAuthentication, Labelled))
        self.policies = Policies(
            self.graph,
            self.registry.of(AuthorizationPolicy),
            self.registry.of(PeerAuthentication),
            MeshSettings(**settings),
        )
        self.names: Mapped[Labelled, list[str]] = Mapped(
            self.graph, "names", self.registry.of(Labelled), self._names
        )
        for text in texts:
            self.put(text)

    def put(self, text: str) -> None:
        put(self.registry, text)

    def put_spec(self, kind: type[KubernetesObject], spec: object, name: str = "ns1/p") -> None:
        """Add an object whose spec may be anything."""
        namespace, _, own = name.partition("/")
        document = {"metadata": {"name": own, "namespace": namespace}, "spec": spec}
        with self.graph.transaction():
            self.registry.of(kind).set(name, msgspec.convert(document, kind))

    def remove(self, kind: type[KubernetesObject], key: str) -> None:
        remove(self.registry, kind, key)

    def put_workload(self, key: str, namespace: str, labels: Mapping[str, str] | None) -> None:
        with self.graph.transaction():
            self.registry.of(Labelled).set(key, Labelled(namespace, None if labels is None else dict(labels)))

    def names_for(self, namespace: str, labels: Mapping[str, str] | None) -> list[str]:
        self.put_workload("asked", namespace, labels)
        return self.names.rows["asked"]

    def served(self) -> dict[str, security.Authorization]:
        return {
            row.name: security.Authorization.FromString(row.body)
            for collection in self.policies.authorizations
            for _, row in collection.items()
        }

    def problems(self) -> dict[str, str]:
        """What is told of each object."""
        return {
            key: reason
            for collection in self.graph.collections
            if isinstance(collection, Derivation)
            for key, reason in collection.problems.items()
        }

    def _names(self, fetch: Fetch, _key: str, row: Labelled) -> list[str]:
        return self.policies.names_for(fetch, row.namespace, row.labels)


def groups(message: security.Authorization) -> list[list[list[dict[str, list[str]]]]]:
    """Groups of clauses of matches, whose fields are text: ``x*``, ``10.0.0.0/8``, ``ns/account``, ``80``."""
    return [
        [[_match(match) for match in clause.matches] for clause in group.rules] for group in message.groups
    ]


def _match(match: security.Match) -> dict[str, list[str]]:
    return {field.name: [_text(value) for value in values] for field, values in match.ListFields()}


def _text(value: Any) -> str:
    match value:
        case security.Address():
            return f"{ip_address(value.address)}/{value.length}"
        case security.ServiceAccountMatch():
            return f"{value.namespace}/{value.serviceAccount}"
        case security.StringMatch():
            forms = {"exact": "{}", "prefix": "{}*", "suffix": "*{}", "presence": "*"}
            which = value.WhichOneof("match_type")
            return forms[which].format(getattr(value, which))
    return str(value)
