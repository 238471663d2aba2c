"""
The state-of-the-world variant of xDS: every response holds all the client subscribed to.

Rules (xDS, "SotW"): a request states all names anew; no names at first, or ``*``, is a wildcard;
no names after some is nothing. A resource that is missing from a response is gone. The rest is as
in ``delta``: the first request is answered, names count whatever the nonce, and neither an
acknowledgement nor a rejection provokes a response.
"""

from collections.abc import Iterable

from xds_server.catalog.overlay import ServedCatalog
from xds_server.catalog.served_type import Encoded, ServedType
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from xds_server.sessions.acknowledgement import Verdict
from xds_server.sessions.session import FOUND_BY_LOOKUP, Session
from xds_server.sessions.subscription import WILDCARD, Subscription


class StateOfTheWorldSession(Session):
    """The server's side of one state-of-the-world stream."""

    def __init__(self, catalog: ServedCatalog) -> None:
        super().__init__(catalog)
        self._given: dict[str, set[str]] = {}
        """By type, the resources of the last response to a client that follows names."""
        self._named: set[str] = set()
        """Types of which the client has ever given a name, the wildcard too."""

    def receive_request(self, request: DiscoveryRequest, now: float) -> Verdict:
        """Take one request; then ask :meth:`next_response` until it has none."""
        self.receive_node(request)
        names = set(request.resource_names)
        subscription = self.subscriptions.get(request.type_url)
        if subscription is None:
            subscription = self.open_subscription(request.type_url)
            self._receive_names(subscription, names)
            subscription.owes_answer = True
            return Verdict.NONE
        verdict = self.receive_acknowledgement(subscription, request, now)
        self._receive_names(subscription, names)
        return verdict

    def _receive_names(self, subscription: Subscription, names: set[str]) -> None:
        if names:
            self._named.add(subscription.type_url)
        wildcard = WILDCARD in names or subscription.type_url not in self._named
        names -= {WILDCARD}
        if names - subscription.names or wildcard != subscription.wildcard:
            subscription.owes_answer = True
        subscription.wildcard, subscription.names = wildcard, names

    def answer(self, served: ServedType, subscription: Subscription) -> Encoded | None:
        if subscription.wildcard:
            if subscription.cursor < served.position or not subscription.acknowledgements.sent:
                return served.state()
            # Answered at this position already: the shared nonce would come a second time.
            return served.some_of_state(served.resources, subscription.next_nonce(served.position))
        given = self._given.get(served.url, set())
        wanted = self._resolve(served, subscription.names)
        if not subscription.owes_answer:
            self.check_can_follow(served, subscription)
            if given.union(wanted).isdisjoint(served.changed_since(subscription.cursor)):
                return None
        self._given[served.url] = wanted
        return served.some_of_state(sorted(wanted), subscription.next_nonce(served.position))

    def _resolve(self, served: ServedType, names: Iterable[str]) -> set[str]:
        if served.url in FOUND_BY_LOOKUP:
            names = (found for name in names for found in self.catalog.lookup.find(name))
        return served.resources.keys() & set(names)
