"""Many clients as ztunnel would be: each opens a delta stream, asks for everything and confirms it."""

import contextlib
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.http2_call import Http2Call
from xds_server.protobuf.envoy.config.core.v3.base_pb2 import Node
from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds

ADDRESS = "type.googleapis.com/istio.workload.Address"
AUTHORIZATION = "type.googleapis.com/istio.security.Authorization"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

_READ_BYTES = 1 << 20
_REMEMBERED = 8


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """What a server sent, decoded as far as a client must know to confirm it."""

    body: bytes
    type_url: str
    resources: int
    acknowledgement: bytes

    def decode(self) -> xds.DeltaDiscoveryResponse:
        return xds.DeltaDiscoveryResponse.FromString(self.body)


class Responses:
    """
    Decodes each response once.

    A server may send the same bytes to all clients: to compare them with the latest few costs
    hundreds of times less than to decode a whole mesh again.
    """

    def __init__(self) -> None:
        self._latest: list[Response] = []

    def receive(self, body: bytes) -> Response:
        for response in self._latest:
            if response.body == body:
                return response
        message = xds.DeltaDiscoveryResponse.FromString(body)
        request = xds.DeltaDiscoveryRequest(type_url=message.type_url, response_nonce=message.nonce)
        response = Response(body, message.type_url, len(message.resources), request.SerializeToString())
        self._latest = [response, *self._latest[: _REMEMBERED - 1]]
        return response


class Ztunnel:
    """One client."""

    __slots__ = ("awaiting", "call", "number", "socket", "synced_ns", "types", "unsent")

    def __init__(self, number: int, address: str, versions: Mapping[str, str]) -> None:
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        self.number = number
        self.synced_ns = 0
        self.types: set[str] = set()
        self.call = Http2Call(address, METHOD)
        self.unsent = b""
        self.awaiting = select.EPOLLIN | select.EPOLLOUT
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BlockingIOError):
            self.socket.connect((host.strip("[]"), int(port)))
        for request in first_requests(number, versions):
            self.call.send_message(request)

    def send(self) -> None:
        """Send what there is to send, as far as the socket takes it now."""
        self.unsent += self.call.data_to_send()
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]


def first_requests(number: int, versions: Mapping[str, str]) -> list[bytes]:
    """Ask for all addresses, those in ``versions`` being held already, and for all policies."""
    node = Node(id=f"ztunnel~10.0.{number >> 8}.{number & 255}~ztunnel-{number}.istio-system~cluster.local")
    metadata = {"NAME": f"ztunnel-{number}", "NAMESPACE": "istio-system", "NODE_NAME": f"node{number}"}
    node.metadata.update(metadata)
    return [
        xds.DeltaDiscoveryRequest(
            node=node, type_url=ADDRESS, initial_resource_versions=versions
        ).SerializeToString(),
        xds.DeltaDiscoveryRequest(node=node, type_url=AUTHORIZATION).SerializeToString(),
    ]


Receive = Callable[[Ztunnel, Response, int], None]
"""Told of each response with the time of its arrival, in nanoseconds since the epoch."""


class Ztunnels:
    """All clients, driven by one loop in the caller's thread, until closed by leaving the context."""

    def __init__(self, address: str, receive: Receive) -> None:
        self._address = address
        self._receive = receive
        self._responses = Responses()
        self._poll = select.epoll()
        self._by_socket: dict[int, Ztunnel] = {}
        self.opened_ns = 0
        self.clients: list[Ztunnel] = []

    def __enter__(self) -> "Ztunnels":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.socket.close()
        self._poll.close()

    def open(self, count: int, versions: Mapping[str, str] | None = None) -> None:
        """Connect all at once; ``versions`` are those of the resources each holds from before."""
        self.opened_ns = time.time_ns()
        for number in range(count):
            client = Ztunnel(number, self._address, versions or {})
            self.clients.append(client)
            self._by_socket[client.socket.fileno()] = client
            self._poll.register(client.socket, client.awaiting)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Read and confirm until it is so, or for this long."""
        deadline = time.monotonic() + seconds
        while not until() and (left := deadline - time.monotonic()) > 0:
            for number, _ in self._poll.poll(left):
                self._turn(self._by_socket[number])

    @property
    def ended(self) -> Counter[str]:
        """Why streams ended, and how many for each reason."""
        return Counter(client.call.ended for client in self.clients if client.call.ended)

    @property
    def all_told(self) -> bool:
        """Whether each client is either in sync or will never be."""
        return all(client.synced_ns or client.call.ended for client in self.clients)

    def _turn(self, client: Ztunnel) -> None:
        try:
            self._read(client)
            client.send()
        except OSError as error:
            client.call.ended = client.call.ended or str(error)
        if client.call.ended:
            self._poll.unregister(client.socket)
            return
        awaiting = select.EPOLLIN | (select.EPOLLOUT if client.unsent else 0)
        if awaiting != client.awaiting:
            client.awaiting = awaiting
            self._poll.modify(client.socket, awaiting)

    def _read(self, client: Ztunnel) -> None:
        try:
            data = client.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        now = time.time_ns()
        if not data:
            client.call.ended = client.call.ended or "the connection was closed"
        for body in client.call.receive_data(data):
            response = self._responses.receive(body)
            client.call.send_message(response.acknowledgement)
            client.types.add(response.type_url)
            if not client.synced_ns and {ADDRESS, AUTHORIZATION} <= client.types:
                client.synced_ns = now
            self._receive(client, response, now)
