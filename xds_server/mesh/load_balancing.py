"""Load balancing: which endpoints of a service a client prefers (facts wds, 3.4)."""

import msgspec

from xds_server.objects.kubernetes import Namespace, Service
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Collection
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph

_Scope = api.LoadBalancing.Scope
Scopes = tuple[api.LoadBalancing.Scope, ...]
_ZONE: Scopes = (_Scope.NETWORK, _Scope.REGION, _Scope.ZONE)
_NODE: Scopes = (_Scope.NETWORK, _Scope.REGION, _Scope.ZONE, _Scope.SUBZONE, _Scope.NODE)
_SPEC_PREFERENCES = {"PreferClose": _ZONE, "PreferSameZone": _ZONE, "PreferSameNode": _NODE}
_PREFERENCES = {name.lower(): scopes for name, scopes in _SPEC_PREFERENCES.items()}


class NamespaceDefaults(msgspec.Struct, frozen=True, gc=False):
    """What a namespace decides for the services in it."""

    traffic_distribution: str | None


class LoadBalancings:
    """Makes messages; a fresh one each time: facts wds 3.4 tells of a shared one that was changed."""

    def __init__(self, graph: Graph, namespaces: Collection[Namespace]) -> None:
        self._defaults = Mapped(graph, "namespace defaults", namespaces, _namespace_defaults)

    def of_service(self, fetch: Fetch, service: Service) -> api.LoadBalancing | None:
        balancing = self._of_policy(fetch, service)
        if service.spec.publish_not_ready_addresses:
            balancing = balancing or api.LoadBalancing()
            balancing.health_policy = api.LoadBalancing.ALLOW_ALL
        return balancing

    def of_entry(
        self, fetch: Fetch, namespace: str, annotation: str | None, resolution: str
    ) -> api.LoadBalancing | None:
        """Where nothing is resolved, connections pass through to whatever address they were for."""
        if resolution == "NONE":
            return api.LoadBalancing(
                mode=api.LoadBalancing.PASSTHROUGH, health_policy=api.LoadBalancing.ALLOW_ALL
            )
        return _preferring(self._annotated(fetch, namespace, annotation))

    def _of_policy(self, fetch: Fetch, service: Service) -> api.LoadBalancing | None:
        if service.spec.internal_traffic_policy == "Local":
            return api.LoadBalancing(mode=api.LoadBalancing.STRICT, routing_preference=[_Scope.NODE])
        by_spec = _SPEC_PREFERENCES.get(service.spec.traffic_distribution or "")
        if by_spec:
            return _preferring(by_spec)
        annotation = service.annotations.traffic_distribution
        return _preferring(self._annotated(fetch, service.namespace, annotation))

    def _annotated(self, fetch: Fetch, namespace: str, annotation: str | None) -> Scopes:
        wanted = annotation
        if not wanted:
            defaults = fetch.one(self._defaults, namespace)
            wanted = defaults.traffic_distribution if defaults else None
        return _PREFERENCES.get((wanted or "").lower(), ())


def _preferring(scopes: Scopes) -> api.LoadBalancing | None:
    if not scopes:
        return None
    return api.LoadBalancing(mode=api.LoadBalancing.FAILOVER, routing_preference=scopes)


def _namespace_defaults(_fetch: Fetch, _key: str, namespace: Namespace) -> NamespaceDefaults | None:
    wanted = namespace.annotations.traffic_distribution
    return None if wanted is None else NamespaceDefaults(wanted)
