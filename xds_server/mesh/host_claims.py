"""
Which ServiceEntry serves a host that several describe, and which one all others mean (facts wds, 3.8).

Theory
1. In a namespace a Service has its host whatever else claims it; else the oldest ServiceEntry has it.
2. Over all namespaces a Service is canonical; else the oldest of those that have the host and are
   public; else nobody. Age never lets a ServiceEntry beat a Service.
3. Equal age goes by namespace and name, so that every replica decides the same.
"""

import msgspec

from xds_server.exceptions import InputError
from xds_server.mesh.services import Services, named_by
from xds_server.settings import MeshSettings
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Fetch, Mapped
from xds_server.store.graph import Graph


class HostClaim(msgspec.Struct, frozen=True, gc=False):
    """A host as a ServiceEntry (``owner``, ``namespace/name``) describes it."""

    host: str
    owner: str
    created: str
    is_public: bool

    @property
    def namespace(self) -> str:
        return self.owner.partition("/")[0]

    @property
    def age(self) -> tuple[str, str]:
        """Sorts the oldest first."""
        return self.created, self.owner


class HostClaims:
    """The claims that hold, by ``owner/host``."""

    def __init__(
        self, graph: Graph, claims: Collection[HostClaim], services: Services, settings: MeshSettings
    ) -> None:
        self._services = services
        self._settings = settings
        self._by_place = Index(claims, "namespace and host", lambda claim: (_place(claim),))
        self._held: Collection[HostClaim] = Mapped(graph, "held hosts", claims, self._holds)
        self._by_host = Index(self._held, "host", lambda claim: (claim.host,))
        self._canonical: Collection[bool] = Mapped(graph, "canonical hosts", self._held, self._is_canonical)

    def has(self, fetch: Fetch, owner: str, host: str) -> bool:
        """Tell whether a ServiceEntry serves a host in its namespace."""
        return fetch.one(self._held, f"{owner}/{host}") is not None

    def is_canonical(self, fetch: Fetch, owner: str, host: str) -> bool:
        """Tell whether a ServiceEntry that serves a host is the one meant in other namespaces."""
        return fetch.one(self._canonical, f"{owner}/{host}") is not None

    def _holds(self, fetch: Fetch, _key: str, claim: HostClaim) -> HostClaim:
        service = named_by(claim.host, self._settings)
        if service is not None and service.startswith(f"{claim.namespace}/"):
            self._yield_to_service(fetch, claim, service)
        oldest = min(fetch.group(self._by_place, _place(claim)), key=lambda rival: rival.age)
        if oldest.owner != claim.owner:
            raise InputError(f"host {claim.host!r} is not served: ServiceEntry {oldest.owner} is older")
        return claim

    def _yield_to_service(self, fetch: Fetch, claim: HostClaim, service: str) -> None:
        if fetch.one(self._services.targets, service) is not None:
            raise InputError(f"host {claim.host!r} is not served: it is that of Service {service}")

    def _is_canonical(self, fetch: Fetch, _key: str, claim: HostClaim) -> bool | None:
        if not claim.is_public:
            return None
        service = named_by(claim.host, self._settings)
        if service is not None and fetch.one(self._services.targets, service) is not None:
            return None
        public = (rival for rival in fetch.group(self._by_host, claim.host) if rival.is_public)
        return min(public, key=lambda rival: rival.age).owner == claim.owner or None


def _place(claim: HostClaim) -> str:
    return f"{claim.namespace} {claim.host}"
