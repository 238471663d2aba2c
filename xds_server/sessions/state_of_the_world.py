"""
The state-of-the-world variant of xDS: every response holds all the client subscribed to.

Rules (xDS, "SotW"): a request states all names anew; no names at first, or ``*``, is a wildcard;
no names after some is nothing. A resource that is missing from a response is gone. The rest is as
in ``delta``: the first request is answered, names count whatever the nonce, and neither an
acknowledgement nor a rejection provokes a response. Policies are told in two parts
(``catalog.policies``): at first with those, as they were, that are to change or go later.
"""

from collections.abc import Iterable

from xds_server.catalog.overlay import ServedCatalog
from xds_server.catalog.policies import PolicyType
from xds_server.catalog.resource import Resource
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
        self._policies: dict[str, Resource] = {}
        """The policies of the last response."""

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
        if not isinstance(served, PolicyType):
            return self._answer(served, subscription)
        parts = self.parts(served)
        kept = self._kept(parts, subscription) if parts is not None else {}
        if not kept:
            return self._answer_policies(served, subscription)
        subscription.put_off(frozenset(kept), frozenset())
        policies = {name: served.resources[name] for name in self._wanted(served, subscription)} | kept
        if not subscription.owes_answer and policies == self._policies:
            return None
        self._remember(served, policies)
        return served.some_of_state(policies.values(), subscription.next_nonce(served.position))

    def answer_later(self, served: ServedType, subscription: Subscription) -> Encoded:
        policies = {name: served.resources[name] for name in self._wanted(served, subscription)}
        self._remember(served, policies)
        return served.some_of_state(policies.values(), subscription.next_nonce(served.position))

    def _answer_policies(self, served: PolicyType, subscription: Subscription) -> Encoded | None:
        encoded = self._answer(served, subscription)
        if encoded is not None:
            wanted = self._wanted(served, subscription)
            self._remember(served, {name: served.resources[name] for name in wanted})
        return encoded

    def _remember(self, served: ServedType, policies: dict[str, Resource]) -> None:
        self._policies = policies
        self._given[served.url] = set(policies)

    def _kept(self, policies: PolicyType, subscription: Subscription) -> dict[str, Resource]:
        """The policies the client has, and goes on to have as they are until it is told of addresses."""
        return {
            name: held
            for name, held in self._policies.items()
            if policies.is_later(name)
            and policies.resources.get(name) != held
            and (subscription.wildcard or name in subscription.names)
        }

    def _answer(self, served: ServedType, subscription: Subscription) -> Encoded | None:
        if subscription.wildcard:
            if subscription.cursor < served.position or not subscription.acknowledgements.sent:
                return served.state()
            # Answered at this position already: the shared nonce would come a second time.
            everything = served.resources.values()
            return served.some_of_state(everything, subscription.next_nonce(served.position))
        given = self._given.get(served.url, set())
        wanted = self._wanted(served, subscription)
        if not subscription.owes_answer:
            self.check_can_follow(served, subscription)
            if given.union(wanted).isdisjoint(served.changed_since(subscription.cursor)):
                return None
        self._given[served.url] = wanted
        resources = [served.resources[name] for name in sorted(wanted)]
        return served.some_of_state(resources, subscription.next_nonce(served.position))

    def _wanted(self, served: ServedType, subscription: Subscription) -> set[str]:
        return set(served.resources) if subscription.wildcard else self._resolve(served, subscription.names)

    def _resolve(self, served: ServedType, names: Iterable[str]) -> set[str]:
        if served.url in FOUND_BY_LOOKUP:
            names = (found for name in names for found in self.catalog.lookup.find(name))
        return served.resources.keys() & set(names)
