"""
Discovery over streams: the aggregated service with both variants of xDS over one catalog, and the
same for secrets alone.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Iterator

import grpc

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.overlay import Overlay
from xds_server.catalog.resource import SECRET
from xds_server.exceptions import LimitError, OffmeshError, PeerError
from xds_server.identity.caller import Caller
from xds_server.identity.secrets import Secrets
from xds_server.sessions.clients import Client, Clients
from xds_server.sessions.delta import DeltaSession
from xds_server.sessions.state_of_the_world import StateOfTheWorldSession
from xds_server.settings import StreamSettings
from xds_server.transport.admission import Admission
from xds_server.transport.authentication import Authentication, required
from xds_server.transport.failures import code_of, details_of
from xds_server.transport.incoming import Incoming, Purpose
from xds_server.transport.own_types import OwnTypes
from xds_server.transport.publisher import Publisher
from xds_server.transport.stream import Context, Stream, StreamEndsError
from xds_server.transport.stream_programs import Agents, StreamPrograms
from xds_server.transport.stream_secrets import StreamSecrets

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
SECRET_SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"  # noqa: S105 - a name
_AGE_JITTER = 0.1
_CANCELLED_WITHIN_SECONDS = 5.0

log = logging.getLogger(__name__)

_VARIANTS: dict[str, type[DeltaSession | StateOfTheWorldSession]] = {
    "delta": DeltaSession,
    "state-of-the-world": StateOfTheWorldSession,
}


class AggregatedDiscoveryService:
    """Serves streams; holds those that are open, so that they can be ended in good order."""

    def __init__(
        self,
        catalog: Catalog,
        clients: Clients,
        settings: StreamSettings,
        secrets: Secrets | None = None,
        agents: Agents | None = None,
    ) -> None:
        self.publisher = Publisher(catalog)
        self.ready = asyncio.Event()
        """Set once the catalog holds the first whole mesh; until then streams wait, because half a
        mesh would tell clients to forget the rest."""
        self._catalog = catalog
        self._clients = clients
        self._settings = settings
        self._secrets = secrets
        self._agents = agents
        self.admission = Admission()
        self._streams: set[Stream] = set()
        self._by_caller: Counter[str] = Counter()
        self._random = random.Random()  # noqa: S311 - spreads load, guards nothing

    def handlers(self, authentication: Authentication) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return the gRPC handlers of one port; messages pass as bytes, so none is encoded twice."""

        def method(variant: str, only: str) -> "grpc.RpcMethodHandler[bytes, bytes]":
            purpose = Purpose(self._settings.max_receive_bytes, only)

            async def serve(_requests: object, context: Context) -> None:
                await self._open(context, authentication, variant, purpose)

            return grpc.stream_stream_rpc_method_handler(serve)

        every = {
            "DeltaAggregatedResources": method("delta", ""),
            "StreamAggregatedResources": method("state-of-the-world", ""),
        }
        secrets = {
            "DeltaSecrets": method("delta", SECRET),
            "StreamSecrets": method("state-of-the-world", SECRET),
        }
        return (
            grpc.method_handlers_generic_handler(SERVICE, every),
            grpc.method_handlers_generic_handler(SECRET_SERVICE, secrets),
        )

    async def _open(
        self, context: Context, authentication: Authentication, variant: str, purpose: Purpose
    ) -> None:
        """Find out who calls before anything is read, then serve the stream."""
        address = authentication.address(context)
        try:
            caller = await authentication.caller(context)
            if purpose.only:
                required(caller)
            self._check_share(caller)
        except OffmeshError as error:
            log.warning("a %s stream from %s was refused: %s", variant, address, error)
            await context.abort(code_of(error), details_of(error))
        own = self._own_types(caller)
        catalog = Overlay(self._catalog, *own.served) if own.served else self._catalog
        client = self._clients.connect(_VARIANTS[variant](catalog), variant, address, time.time())
        incoming = Incoming(client, self._clients.totals, purpose, caller, own)
        with self._counted(client, caller), own.kept():
            await self._serve(client, incoming, context)

    def _own_types(self, caller: Caller | None) -> OwnTypes:
        return OwnTypes(
            StreamSecrets(self._secrets, caller) if caller is not None and self._secrets else None,
            StreamPrograms(self._agents, caller) if self._agents else None,
        )

    def _check_share(self, caller: Caller | None) -> None:
        most = self._settings.max_streams_per_caller
        if caller is not None and self._by_caller[caller.key] >= most:
            raise LimitError(f"{most} streams of this caller are open already")

    @contextlib.contextmanager
    def _counted(self, client: Client, caller: Caller | None) -> Iterator[None]:
        if caller is None:
            yield
            return
        client.caller = str(caller.identity)
        self._by_caller[caller.key] += 1
        try:
            yield
        finally:
            self._by_caller[caller.key] -= 1
            if not self._by_caller[caller.key]:
                del self._by_caller[caller.key]

    async def _serve(self, client: Client, incoming: Incoming, context: Context) -> None:
        stream = Stream(client, context)
        incoming.wakes(stream.wake)
        why = "cancelled by the client"
        age = asyncio.get_running_loop().call_later(self._age(), stream.end, "old age")
        self._streams.add(stream)
        try:
            # gRPC holds the headers back until the first message; ztunnel counts a stream as
            # established by them, and resets its back-off only for those that were.
            await context.send_initial_metadata(())
            end = await self._exchange(stream, incoming)
            why = end.why if end else "closed by the client"
        finally:
            age.cancel()
            self._streams.discard(stream)
            self.publisher.leave(stream)
            self._clients.disconnect(client, why)
            log.debug("client %s left: %s", client.id, why)
        if end is not None:
            await context.abort(end.code, end.details)

    async def _exchange(self, stream: Stream, incoming: Incoming) -> StreamEndsError | None:
        """Read and write until either side ends the stream; return how the server does, if it does."""
        if len(self._clients) > self._settings.max_streams:
            return StreamEndsError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams", "refused")
        ends: list[StreamEndsError] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(stream))
                await stream.read(incoming.receive)
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
    why = {
        grpc.StatusCode.RESOURCE_EXHAUSTED: "too slow",
        grpc.StatusCode.PERMISSION_DENIED: "denied",
    }.get(code_of(error), "broke the protocol")
    return StreamEndsError(code_of(error), str(error), why)
