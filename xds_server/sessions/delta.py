"""
The delta variant of xDS: one session a stream, without I/O.

Theory
1. A session remembers what its client wants and a position per type, never what it was sent: the
   catalog knows what changed since a position, so a wildcard stream costs the same whatever the mesh.
2. Requests only change what is owed; :meth:`next_response` makes one response from the present
   state of the catalog when the stream can take it. Nothing queues, so a slow client is brought to
   the present in one step and never sees a state that is past.
3. The first request of a type is always answered, even with nothing: ztunnel is not ready before.
   A name asked for is always answered: with its body, or as removed. What a returning client
   holds in the present version is not sent again; what it holds and we have not is removed.
4. Subscriptions count whatever the nonce. A rejection is recorded and provokes nothing.
5. An on-demand stream follows names: those it asked for and those it was given for them, aliases
   resolved at every change, and all workloads its own node serves.
6. Policies are told in two parts (``catalog.policies``): what is put off is kept by name until the
   addresses are told, and sent as it is then.
Invariant (property-tested): when both sides fall silent, the client holds exactly the present
state of what it subscribed to.
"""

from collections.abc import Iterable

from xds_server.catalog.lookup import keys_of
from xds_server.catalog.policies import PolicyType
from xds_server.catalog.served_type import Encoded, ServedType
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest
from xds_server.sessions.acknowledgement import Verdict
from xds_server.sessions.session import FOUND_BY_LOOKUP, Session
from xds_server.sessions.subscription import Subscription


class DeltaSession(Session):
    """The server's side of one delta stream."""

    def receive_request(self, request: DeltaDiscoveryRequest, now: float) -> Verdict:
        """Take one request; then ask :meth:`next_response` until it has none."""
        self.receive_node(request)
        subscription = self.subscriptions.get(request.type_url)
        if subscription is None:
            subscription = self.open_subscription(request.type_url)
            subscription.receive_first(
                request.resource_names_subscribe,
                request.resource_names_unsubscribe,
                dict(request.initial_resource_versions),
            )
            if subscription.held and request.type_url in FOUND_BY_LOOKUP:
                self.wait_for_policies()
            return Verdict.NONE
        verdict = self.receive_acknowledgement(subscription, request, now)
        if request.resource_names_subscribe or request.resource_names_unsubscribe:
            subscription.receive_change(request.resource_names_subscribe, request.resource_names_unsubscribe)
        return verdict

    def answer(self, served: ServedType, subscription: Subscription) -> Encoded | None:
        if not subscription.acknowledgements.sent:
            # The first answer is made from what the client holds; it needs no log.
            subscription.cursor = served.position
        self.check_can_follow(served, subscription)
        parts = self.parts(served)
        if not _is_shared(subscription):
            encoded = self._individual(served, subscription, parts)
        elif subscription.owes_everything:
            encoded = served.everything()
        elif parts is None:
            encoded = served.changes(subscription.cursor)
        else:
            encoded, sent, later = parts.parted(subscription.cursor)
            subscription.put_off(later, sent)
        subscription.owes_everything = False
        subscription.asked.clear()
        subscription.held = {}
        return encoded

    def answer_later(self, served: ServedType, subscription: Subscription) -> Encoded:
        # A stream is told so once at a position: whatever comes between cannot put anything off again.
        return served.present(subscription.later)

    def _individual(
        self, served: ServedType, subscription: Subscription, parts: PolicyType | None
    ) -> Encoded | None:
        changed, removed = self._difference(served, subscription)
        if parts is not None:
            later = {name for name in changed | removed if _is_later(name, parts, subscription)}
            changed, removed = changed - later, removed - later
            subscription.put_off(frozenset(later), frozenset(changed | removed))
        if not changed and not removed and not subscription.owes_answer:
            return None
        nonce = subscription.next_nonce(self.catalog.position)
        if subscription.wildcard:
            return served.some(changed, removed, nonce)
        for name in removed:
            subscription.given.pop(name, None)
        entries = [self._give(served, subscription, name) for name in changed]
        return served.encode(entries, sorted(removed), nonce)

    def _give(self, served: ServedType, subscription: Subscription, name: str) -> bytes:
        """An on-demand client must learn by which of its names it was given a resource."""
        resource = served.resources[name]
        subscription.names.add(name)
        if served.url not in FOUND_BY_LOOKUP:
            return resource.entry
        aliases = self.catalog.lookup.addresses[name].aliases
        subscription.given[name] = keys_of(aliases)
        return resource.entry_with_aliases(aliases)

    def _difference(self, served: ServedType, subscription: Subscription) -> tuple[set[str], set[str]]:
        """What to send and what to remove, by resource name (an unknown name is removed as asked)."""
        if subscription.wildcard:
            changed, removed = self._wildcard_difference(served, subscription)
            found, unknown = self._resolve(served, subscription.asked)
        else:
            changed, removed = self._followed_difference(served, subscription)
            held = {name for name in subscription.names if name in subscription.held}
            returned, unknown = self._resolve(served, held - subscription.asked)
            changed |= {name for name in returned if subscription.held.get(name) != served.versions[name]}
            found, missing = self._resolve(served, subscription.asked)
            unknown |= missing
        changed |= found
        changed |= self._brought_by_health(changed & subscription.held.keys())
        return changed, (removed | unknown) - changed

    def _brought_by_health(self, services: set[str]) -> set[str]:
        """What a returning client must hear once more, as all did when these services came to be so."""
        lookup = self.catalog.lookup
        return {name for service in services & lookup.admit_unready for name in lookup.members(service)}

    def _wildcard_difference(
        self, served: ServedType, subscription: Subscription
    ) -> tuple[set[str], set[str]]:
        if not subscription.owes_everything:
            names = served.changed_since(subscription.cursor)
            return _split(served, names)
        held, versions = subscription.held, served.versions
        if held and held == versions:
            return set(), set()
        changed = {name for name, version in versions.items() if held.get(name) != version}
        # The log has something to say here only for a client that asked for the wildcard later.
        gone = _split(served, served.changed_since(subscription.cursor))[1]
        return changed, gone | (held.keys() - versions.keys())

    def _followed_difference(
        self, served: ServedType, subscription: Subscription
    ) -> tuple[set[str], set[str]]:
        """What changed of the names followed, what they newly stand for, what this node newly serves."""
        names, lookup = subscription.names, self.catalog.lookup
        touched = served.changed_since(subscription.cursor)
        changed, removed = _split(served, names.intersection(touched))
        if served.url not in FOUND_BY_LOOKUP:
            return changed, removed
        aliases: set[str] = set()
        for name in touched:
            # An alias it had may have fallen to an address that did not change itself.
            aliases.update(subscription.given.get(name, ()))
            address = lookup.addresses.get(name)
            if address is not None:
                aliases.update(keys_of(address.aliases))
                if not names.isdisjoint(address.services):
                    changed.add(name)
        new = self._resolve(served, aliases & names)[0].union(lookup.served_by(self.node_name))
        new.update(*(lookup.members(name) for name in changed))
        return changed | (new - names), removed

    def _resolve(self, served: ServedType, asked: Iterable[str]) -> tuple[set[str], set[str]]:
        """Split names asked for into the resources they stand for and those that stand for nothing."""
        found: set[str] = set()
        unknown: set[str] = set()
        for name in asked:
            if served.url in FOUND_BY_LOOKUP:
                resources = {item for item in self.catalog.lookup.find(name) if item in served.resources}
            else:
                resources = {name} & served.resources.keys()
            found |= resources
            if not resources:
                unknown.add(name)
        return found, unknown


def _is_shared(subscription: Subscription) -> bool:
    """Tell whether every client in this situation gets the same."""
    if not subscription.wildcard or subscription.asked or subscription.held:
        return False
    return not (subscription.owes_everything and subscription.acknowledgements.sent)


def _is_later(name: str, policies: PolicyType, subscription: Subscription) -> bool:
    """Tell whether a policy's change is to be put off: the client has it, and did not ask for it now."""
    if name in subscription.asked or not policies.is_later(name):
        return False
    if name not in policies.resources:
        return True
    if subscription.held:
        return bool(subscription.held.get(name))
    # Whoever comes to the wildcard from names has not got everything up to its cursor.
    return not subscription.owes_everything and policies.is_had(name, subscription.cursor)


def _split(served: ServedType, names: Iterable[str]) -> tuple[set[str], set[str]]:
    """Split changed names into those that are there and those that are gone."""
    names = set(names)
    changed = names & served.resources.keys()
    return changed, names - changed
