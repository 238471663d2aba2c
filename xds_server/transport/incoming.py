"""The requests of one discovery stream: decoded, checked, counted, and given to its session."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from xds_server.catalog.resource import SECRET
from xds_server.exceptions import DeniedError, PeerError
from xds_server.identity.caller import Caller
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DiscoveryRequest,
)
from xds_server.sessions.acknowledgement import SyncState, Verdict
from xds_server.sessions.clients import Client, Totals
from xds_server.sessions.delta import DeltaSession
from xds_server.sessions.state_of_the_world import StateOfTheWorldSession
from xds_server.transport.own_types import OwnTypes
from xds_server.transport.wire import decode

_LARGE_SHARE = 0.5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a stream is for: all types, or ``only`` one; ``limit`` is the largest request in bytes."""

    limit: int
    only: str = ""


class Incoming:
    """Feeds the session of one client."""

    def __init__(
        self,
        client: Client,
        totals: Totals,
        purpose: Purpose,
        caller: Caller | None,
        own: OwnTypes,
    ) -> None:
        self._client = client
        self._totals = totals
        self._purpose = purpose
        self._caller = caller
        self._own = own
        self._first = True

    def wakes(self, wake: Callable[[], None]) -> None:
        """Tell whom to wake when something of this stream alone has changed."""
        self._own.wakes(wake)

    async def receive(self, data: bytes) -> None:
        """
        Take one request.

        Raises:
            PeerError: it breaks the protocol, or asks for what the caller may not have.

        """
        self._note_size(len(data))
        session = self._client.session
        if isinstance(session, DeltaSession):
            delta = decode(DeltaDiscoveryRequest, data)
            self._check(delta.node, delta.type_url)
            node_id = delta.node.id or session.node_id
            await self._own.follow(delta.type_url, delta.resource_names_subscribe, node_id)
            verdict = session.receive_request(delta, time.time())
            if delta.type_url == SECRET and self._own.secrets is not None:
                self._own.secrets.leave(delta.resource_names_unsubscribe)
            self._note_verdict(delta.type_url, verdict)
        elif isinstance(session, StateOfTheWorldSession):
            state = decode(DiscoveryRequest, data)
            self._check(state.node, state.type_url)
            node_id = state.node.id or session.node_id
            await self._own.follow(state.type_url, state.resource_names, node_id)
            verdict = session.receive_request(state, time.time())
            if state.type_url == SECRET and self._own.secrets is not None:
                self._own.secrets.leave_others(state.resource_names)
            self._note_verdict(state.type_url, verdict)

    def _check(self, node: Node, type_url: str) -> None:
        if self._purpose.only and type_url != self._purpose.only:
            raise PeerError(f"type {type_url[:200]!r} on a stream of secrets: expected {self._purpose.only}")
        if self._first and self._caller is not None:
            _check_node(node, self._caller)
        self._first = False
        session = self._client.session
        self._totals.requests[session.catalog.label(type_url)] += 1
        if not session.catalog.serves(type_url) and type_url not in session.subscriptions:
            self._totals.unknown_types += 1
            log.warning("client %s asked for type %.200r, which is not served", self._client.id, type_url)

    def _note_size(self, size: int) -> None:
        """Warn before a growing mesh makes the versions a client returns with too large to be received."""
        limit = self._purpose.limit
        if size > max(self._totals.largest_request, limit * _LARGE_SHARE):
            log.warning("client %s sent a request of %d bytes; the limit is %d", self._client.id, size, limit)
        self._totals.largest_request = max(self._totals.largest_request, size)

    def _note_verdict(self, type_url: str, verdict: Verdict) -> None:
        """Count what a client said of a response, and log a rejection once for each new reason."""
        if verdict is Verdict.NONE:
            return
        client, session = self._client, self._client.session
        self._totals.acknowledgements[session.catalog.label(type_url), verdict.value] += 1
        subscription = session.subscriptions[type_url]
        if subscription.acknowledgements.state is SyncState.SYNCED and self._own.programs is not None:
            self._own.programs.receive_held(type_url, subscription.cursor)
        if verdict is Verdict.REJECTED:
            reason = subscription.acknowledgements.rejection
            if reason != client.logged_rejection:
                client.logged_rejection = reason
                log.warning("client %s rejected %s: %s", client.id, type_url, reason)


def _check_node(node: Node, caller: Caller) -> None:
    """
    Refuse a client that names itself as somebody else (facts wds, 1.2).

    Raises:
        DeniedError: namespace or service account of its node are not those it proved.

    """
    fields = node.metadata.fields
    parts = node.id.split("~")
    domain = parts[3].partition(".")[0] if len(parts) == 4 else ""
    claimed = {
        "NAMESPACE": fields["NAMESPACE"].string_value if "NAMESPACE" in fields else domain,
        "SERVICE_ACCOUNT": fields["SERVICE_ACCOUNT"].string_value if "SERVICE_ACCOUNT" in fields else "",
    }
    proved = {"NAMESPACE": caller.identity.namespace, "SERVICE_ACCOUNT": caller.identity.service_account}
    for name, claim in claimed.items():
        if claim and claim != proved[name]:
            raise DeniedError(f"node metadata {name} is {claim[:200]!r}: the caller is {caller.identity}")
