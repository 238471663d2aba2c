"""A session and the hand that feeds it: requests in, decoded responses out, no socket between."""

from collections.abc import Iterable, Mapping
from itertools import count

from google.rpc.status_pb2 import Status

from tests.helpers.addresses import ServedMesh
from tests.helpers.wire import Received, read_delta, read_state
from xds_server.catalog.resource import ADDRESS
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds
from xds_server.sessions.acknowledgement import Acknowledgements, Verdict
from xds_server.sessions.delta import DeltaSession
from xds_server.sessions.session import Session
from xds_server.sessions.state_of_the_world import StateOfTheWorldSession

NODE_ID = "ztunnel~10.0.0.1~ztunnel-x.istio-system~istio-system.svc.cluster.local"


def node(name: str = "", node_id: str = NODE_ID) -> Node:
    """A client's node, with the name of the Kubernetes node it runs on in its metadata."""
    made = Node(id=node_id)
    if name:
        made.metadata["NODE_NAME"] = name
    return made


class Pair:
    """What both variants share; the clock ticks once for each request and response."""

    session: Session

    def __init__(self, mesh: ServedMesh, node_name: str) -> None:
        self.mesh = mesh
        self.node: Node | None = node(node_name)
        """Goes with the first request."""
        self.clock = count(1_000)

    def _take_node(self) -> Node | None:
        taken, self.node = self.node, None
        return taken

    def now(self) -> float:
        return float(next(self.clock))

    def read(self, payload: bytes) -> Received:
        raise NotImplementedError

    def receive(self) -> Received | None:
        """Return the next response the session owes, None if it owes none, however long it is waited for."""
        response = self.session.next_response(self.now())
        if response is None and self.session.waits:
            self.session.wait_no_more()
            response = self.session.next_response(self.now())
        if response is None:
            return None
        received = self.read(response.encoded.payload)
        assert received.type_url == response.type_url
        assert received.nonce == response.encoded.nonce
        counts = (len(received.entries), len(received.removed))
        assert counts == (response.encoded.resources, response.encoded.removed)
        return received

    def expect(self) -> Received:
        """Return the one response the session owes."""
        received = self.receive()
        assert received is not None, "no response"
        assert self.receive() is None, "more than one response"
        return received

    @property
    def silent(self) -> bool:
        return self.receive() is None

    def acknowledgements(self, type_url: str = ADDRESS) -> Acknowledgements:
        return self.session.subscriptions[type_url].acknowledgements


class DeltaPair(Pair):
    def __init__(self, mesh: ServedMesh, node_name: str = "") -> None:
        super().__init__(mesh, node_name)
        self.session: DeltaSession = DeltaSession(mesh.catalog)

    def read(self, payload: bytes) -> Received:
        return read_delta(payload)

    def send(
        self,
        subscribe: Iterable[str] = (),
        unsubscribe: Iterable[str] = (),
        *,
        type_url: str = ADDRESS,
        versions: Mapping[str, str] | None = None,
        nonce: str = "",
        error: str | None = None,
    ) -> Verdict:
        request = xds.DeltaDiscoveryRequest(
            node=self._take_node(),
            type_url=type_url,
            resource_names_subscribe=subscribe,
            resource_names_unsubscribe=unsubscribe,
            initial_resource_versions=versions or {},
            response_nonce=nonce,
            error_detail=None if error is None else Status(message=error),
        )
        return self.session.receive_request(request, self.now())

    def ask(
        self,
        subscribe: Iterable[str] = (),
        unsubscribe: Iterable[str] = (),
        *,
        versions: Mapping[str, str] | None = None,
    ) -> Received:
        """Send a request and return the one response to it."""
        self.send(subscribe, unsubscribe, versions=versions)
        return self.expect()

    def start_on_demand(self) -> None:
        """Say what ztunnel says for "nothing yet", and take the empty answer."""
        assert self.ask(["*"], ["*"]).removed == []


class StatePair(Pair):
    def __init__(self, mesh: ServedMesh, node_name: str = "") -> None:
        super().__init__(mesh, node_name)
        self.session: StateOfTheWorldSession = StateOfTheWorldSession(mesh.catalog)

    def read(self, payload: bytes) -> Received:
        return read_state(payload)

    def send(
        self, names: Iterable[str] = (), *, type_url: str = ADDRESS, nonce: str = "", error: str | None = None
    ) -> Verdict:
        request = xds.DiscoveryRequest(
            node=self._take_node(),
            type_url=type_url,
            resource_names=names,
            response_nonce=nonce,
            error_detail=None if error is None else Status(message=error),
        )
        return self.session.receive_request(request, self.now())

    def ask(self, names: Iterable[str] = ()) -> Received:
        """Send a request and return the one response to it."""
        self.send(names)
        return self.expect()
