"""
What both variants of a session share: the client's node, its subscriptions, what it answered, and
in what order its types are told.

Order on one stream: policies that are new to the client, addresses, workloads, other types, and
last the policies that the client gives up (``catalog.policies`` tells why). Between streams of one
client there is no order: xDS promises none, ztunnel has one stream, and to hold one stream back
until another is acknowledged would let any client stall whoever's name it takes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

from google.rpc.status_pb2 import Status

from xds_server.catalog.overlay import ServedCatalog
from xds_server.catalog.policies import PolicyType
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.catalog.served_type import Encoded, ServedType
from xds_server.exceptions import PeerError, SlowPeerError
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.sessions.acknowledgement import Verdict
from xds_server.sessions.subscription import Subscription

_NODE_TEXT_LENGTH = 1_024
_TYPE_URL_LENGTH = 1_024
MAX_UNKNOWN_TYPES = 64

_PUSH_ORDER = (AUTHORIZATION, ADDRESS, WORKLOAD)
FOUND_BY_LOOKUP = frozenset({ADDRESS, WORKLOAD})
"""Types whose resources are also found by alias, by service and by node."""


class Response(NamedTuple):
    """One response to write, encoded."""

    type_url: str
    encoded: Encoded


class Request(Protocol):
    """What the requests of both variants have."""

    @property
    def node(self) -> Node: ...
    @property
    def type_url(self) -> str: ...
    @property
    def response_nonce(self) -> str: ...
    @property
    def error_detail(self) -> Status: ...
    def HasField(self, field_name: Literal["error_detail"], /) -> bool: ...


class Session(ABC):
    """
    One stream: its client, and a subscription per type.

    The node a client names is for display and for which workloads it wants first; it gives no right.
    """

    def __init__(self, catalog: ServedCatalog) -> None:
        self.catalog = catalog
        self.node_id = ""
        self.node_name = ""
        self.subscriptions: dict[str, Subscription] = {}
        self.unknown_types = 0
        """How many types were asked for that are not served."""
        self.waits = False
        """Whether addresses are held back that :meth:`wait_no_more` would let go."""
        self._patient = True

    def next_response(self, now: float) -> Response | None:
        """
        Make the next response from the present state, None if the client is told everything.

        Raises:
            SlowPeerError: the client was too slow for the change log; its stream must end.

        """
        for subscription in self._in_push_order():
            served = self.catalog.of(subscription.type_url)
            if not subscription.owes_answer and subscription.cursor >= served.position:
                continue
            if self.waits and subscription.type_url in FOUND_BY_LOOKUP:
                continue
            encoded = self.answer(served, subscription)
            subscription.cursor = served.position
            subscription.owes_answer = False
            if encoded is not None:
                return _sent(subscription, encoded, now)
        policies = self.subscriptions.get(AUTHORIZATION)
        if policies is None or not policies.later:
            return None
        encoded = self.answer_later(self.catalog.of(AUTHORIZATION), policies)
        policies.later = frozenset()
        return _sent(policies, encoded, now)

    @abstractmethod
    def answer(self, served: ServedType, subscription: Subscription) -> Encoded | None:
        """
        Make what a subscription is owed, None if that is nothing.

        Raises:
            SlowPeerError: see :meth:`check_can_follow`.

        """

    @abstractmethod
    def answer_later(self, served: ServedType, subscription: Subscription) -> Encoded:
        """Make what was put off."""

    def parts(self, served: ServedType) -> PolicyType | None:
        """Return a type that is to be told in two parts: before and after addresses that are owed."""
        if not isinstance(served, PolicyType):
            return None
        owed = any(
            subscription.owes_answer or subscription.cursor < self.catalog.of(url).position
            for url in FOUND_BY_LOOKUP
            if (subscription := self.subscriptions.get(url)) is not None
        )
        return served if owed else None

    def wait_for_policies(self) -> None:
        """
        Hold addresses back until the client has asked for policies, or has had the time to.

        A client that returns goes on by what it holds, and asks for addresses first: what they name
        and it lacks must reach it before.
        """
        self.waits = self._patient and AUTHORIZATION not in self.subscriptions

    def wait_no_more(self) -> None:
        """Take it that the client does not ask for policies."""
        self.waits = self._patient = False

    def check_can_follow(self, served: ServedType, subscription: Subscription) -> None:
        """
        Make sure the log tells all that changed since the cursor.

        Raises:
            SlowPeerError: it has forgotten some of that.

        """
        if not served.can_follow(subscription.cursor):
            raise SlowPeerError(
                f"too slow: changes of {served.url} since {subscription.cursor} are forgotten"
            )

    def receive_node(self, request: Request) -> None:
        """
        Take the client's node from the first request that has one.

        Raises:
            PeerError: the first request of the stream names none.

        """
        if self.node_id:
            return
        if not request.node.id:
            raise PeerError("the first request has no node.id")
        self.node_id = request.node.id[:_NODE_TEXT_LENGTH]
        self.node_name = _text(request.node, "NODE_NAME")

    def open_subscription(self, type_url: str) -> Subscription:
        """
        Begin to follow a type from the present on.

        Raises:
            PeerError: the client plays with type URLs.

        """
        if len(type_url) > _TYPE_URL_LENGTH:
            raise PeerError(f"a type URL of {len(type_url)} characters: expected at most {_TYPE_URL_LENGTH}")
        if not self.catalog.serves(type_url):
            self.unknown_types += 1
            if self.unknown_types > MAX_UNKNOWN_TYPES:
                raise PeerError(f"more than {MAX_UNKNOWN_TYPES} types that are not served")
        subscription = Subscription(type_url, cursor=self.catalog.of(type_url).position)
        self.subscriptions[type_url] = subscription
        self.waits = self.waits and type_url != AUTHORIZATION
        return subscription

    def _in_push_order(self) -> Iterator[Subscription]:
        for type_url in _PUSH_ORDER:
            if type_url in self.subscriptions:
                yield self.subscriptions[type_url]
        for type_url, subscription in self.subscriptions.items():
            if type_url not in _PUSH_ORDER:
                yield subscription

    def receive_acknowledgement(self, subscription: Subscription, request: Request, now: float) -> Verdict:
        rejection = request.error_detail.message if request.HasField("error_detail") else None
        return subscription.acknowledgements.receive(request.response_nonce, rejection, now)


def _text(node: Node, name: str) -> str:
    value = node.metadata.fields.get(name)
    return value.string_value[:_NODE_TEXT_LENGTH] if value is not None else ""


def _sent(subscription: Subscription, encoded: Encoded, now: float) -> Response:
    subscription.acknowledgements.record_sent(encoded.nonce, len(encoded.payload), now)
    return Response(subscription.type_url, encoded)
