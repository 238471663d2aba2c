"""The Aggregated Discovery Service: both variants of xDS over one catalog."""

import asyncio
import logging
import random
import time
from collections.abc import Callable

import grpc

from xds_server.catalog.catalog import Catalog
from xds_server.exceptions import PeerError, SlowPeerError
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DiscoveryRequest,
)
from xds_server.sessions.acknowledgement import Verdict
from xds_server.sessions.clients import Client, Clients
from xds_server.sessions.delta import DeltaSession
from xds_server.sessions.state_of_the_world import StateOfTheWorldSession
from xds_server.settings import StreamSettings
from xds_server.transport.admission import Admission
from xds_server.transport.publisher import Publisher
from xds_server.transport.stream import Context, Stream, StreamEndsError
from xds_server.transport.wire import decode

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_AGE_JITTER = 0.1
_LARGE_SHARE = 0.5
_CANCELLED_WITHIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class AggregatedDiscoveryService:
    """Serves streams; holds those that are open, so that they can be ended in good order."""

    def __init__(self, catalog: Catalog, clients: Clients, settings: StreamSettings) -> None:
        self.publisher = Publisher(catalog)
        self.ready = asyncio.Event()
        """Set once the catalog holds the first whole mesh; until then streams wait, because half a
        mesh would tell clients to forget the rest."""
        self._catalog = catalog
        self._clients = clients
        self._settings = settings
        self.admission = Admission()
        self._streams: set[Stream] = set()
        self._random = random.Random()  # noqa: S311 - spreads load, guards nothing

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the gRPC handler; messages pass as bytes, so nothing is decoded or encoded twice."""
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._delta),
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._state_of_the_world),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _delta(self, _requests: object, context: Context) -> None:
        session = DeltaSession(self._catalog)

        def receive(data: bytes) -> None:
            self._note_size(client, len(data))
            request = decode(DeltaDiscoveryRequest, data)
            self._note_type(client, request.type_url)
            self._note_verdict(client, request.type_url, session.receive_request(request, time.time()))

        client = self._clients.connect(session, "delta", context.peer(), time.time())
        await self._serve(client, receive, context)

    async def _state_of_the_world(self, _requests: object, context: Context) -> None:
        session = StateOfTheWorldSession(self._catalog)

        def receive(data: bytes) -> None:
            self._note_size(client, len(data))
            request = decode(DiscoveryRequest, data)
            self._note_type(client, request.type_url)
            self._note_verdict(client, request.type_url, session.receive_request(request, time.time()))

        client = self._clients.connect(session, "state-of-the-world", context.peer(), time.time())
        await self._serve(client, receive, context)

    def _note_size(self, client: Client, size: int) -> None:
        """Warn before a growing mesh makes the versions a client returns with too large to be received."""
        totals = self._clients.totals
        if size > max(totals.largest_request, self._settings.max_receive_bytes * _LARGE_SHARE):
            limit = self._settings.max_receive_bytes
            log.warning("client %s sent a request of %d bytes; the limit is %d", client.id, size, limit)
        totals.largest_request = max(totals.largest_request, size)

    def _note_type(self, client: Client, type_url: str) -> None:
        totals = self._clients.totals
        totals.requests[self._catalog.label(type_url)] += 1
        if not self._catalog.serves(type_url) and type_url not in client.session.subscriptions:
            totals.unknown_types += 1
            log.warning("client %s asked for type %.200r, which is not served", client.id, type_url)

    def _note_verdict(self, client: Client, type_url: str, verdict: Verdict) -> None:
        """Count what a client said of a response, and log a rejection once for each new reason."""
        if verdict is Verdict.NONE:
            return
        self._clients.totals.acknowledgements[self._catalog.label(type_url), verdict.value] += 1
        if verdict is Verdict.REJECTED:
            reason = client.session.subscriptions[type_url].acknowledgements.rejection
            if reason != client.logged_rejection:
                client.logged_rejection = reason
                log.warning("client %s rejected %s: %s", client.id, type_url, reason)

    async def _serve(self, client: Client, receive: Callable[[bytes], None], context: Context) -> None:
        stream = Stream(client, context)
        why = "cancelled by the client"
        age = asyncio.get_running_loop().call_later(self._age(), stream.end, "old age")
        self._streams.add(stream)
        try:
            # gRPC holds the headers back until the first message; ztunnel counts a stream as
            # established by them, and resets its back-off only for those that were.
            await context.send_initial_metadata(())
            end = await self._exchange(stream, receive)
            why = end.why if end else "closed by the client"
        finally:
            age.cancel()
            self._streams.discard(stream)
            self.publisher.leave(stream)
            self._clients.disconnect(client, why)
            log.debug("client %s left: %s", client.id, why)
        if end is not None:
            await context.abort(end.code, end.details)

    async def _exchange(self, stream: Stream, receive: Callable[[bytes], None]) -> StreamEndsError | None:
        """Read and write until either side ends the stream; return how the server does, if it does."""
        if len(self._clients) > self._settings.max_streams:
            return StreamEndsError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams", "refused")
        ends: list[StreamEndsError] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(stream))
                await stream.read(receive)
        except* grpc.aio.InternalError:
            # A read or write on a connection that is gone. gRPC cancels this handler for it in a
            # moment; to return first would have it send a status, which fails and is printed.
            await asyncio.sleep(_CANCELLED_WITHIN_SECONDS)
        except* StreamEndsError as ended:
            ends += [end for end in ended.exceptions if isinstance(end, StreamEndsError)]
        except* PeerError as broken:
            ends += [_end_of(error) for error in broken.exceptions if isinstance(error, PeerError)]
            log.warning("client %s at %s: %s", stream.client.id, stream.client.peer, ends[-1].details)
        return ends[-1] if ends else None

    async def _write(self, stream: Stream) -> None:
        await self.ready.wait()
        self.publisher.follow(stream)
        await stream.write(self.publisher, self.admission, self._clients)

    def _age(self) -> float:
        """Spread the ages, so that clients that came together do not return together."""
        jitter = self._random.uniform(1 - _AGE_JITTER, 1 + _AGE_JITTER)
        return self._settings.max_connection_age_seconds * jitter

    async def watch_writes(self) -> None:
        """Drop streams whose client takes nothing, for ever: cheaper than a timer for each write."""
        limit = self._settings.write_timeout_seconds
        while True:
            await asyncio.sleep(limit / 10)
            now = time.time()
            for stream in self._streams:
                since = stream.client.writing_since
                if since is not None and now - since > limit:
                    stream.drop(f"a response was not taken for {limit:g} s")

    async def drain(self, seconds: float) -> None:
        """End all streams, spread over ``seconds``."""
        streams = list(self._streams)
        for stream in streams:
            stream.end("drained")
            await asyncio.sleep(seconds / len(streams))


def _end_of(error: PeerError) -> StreamEndsError:
    slow = isinstance(error, SlowPeerError)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED if slow else grpc.StatusCode.INVALID_ARGUMENT
    return StreamEndsError(code, str(error), "too slow" if slow else "broke the protocol")
