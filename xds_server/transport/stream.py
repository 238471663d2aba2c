"""
One ADS stream: its requests feed the session, its responses are written when it is woken.

The handler's own task reads; one child task, the only writer, asks the session for responses.
Whatever ends the stream ends both, and cancellation is always passed on: gRPC leaks a stream whose
handler swallows it (field facts, U31).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from xds_server.sessions.clients import Client, Clients
from xds_server.sessions.session import Response
from xds_server.transport.admission import SMALL, Admission
from xds_server.transport.publisher import Publisher

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]
# These words make ztunnel reset its back-off and return at once (ztunnel facts, 1.6).
CLOSING = "transport is closing"
# A write that takes this long gives its place in the queue of big writes to the next.
_STALLED_SECONDS = 2.0
# ztunnel asks for policies right after addresses, and waits for nothing in between.
_PATIENCE_SECONDS = 1.0


class StreamEndsError(Exception):
    """The server ends the stream: the status the client is given, and the word it is counted under."""

    def __init__(self, code: grpc.StatusCode, details: str, why: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.why = why


class Wakeup:
    """An event for one waiter: asyncio's own costs a twentieth of a push to many streams."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until set, and clear it."""
        if not self._set:
            self._waiter = self._loop.create_future()
            await self._waiter
            self._waiter = None
        self._set = False


class Stream:
    """Reads and writes one stream until either side ends it."""

    def __init__(self, client: Client, context: Context) -> None:
        self.client = client
        self._context = context
        self._wakeup = Wakeup()
        self._ending: StreamEndsError | None = None
        self._half_closed = False
        self._writer: asyncio.Task[None] | None = None
        self._patience: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        self._wakeup.set()

    def end(self, why: str) -> None:
        """End the stream as soon as its present response is written, so that its client returns at once."""
        self._ending = StreamEndsError(grpc.StatusCode.UNAVAILABLE, CLOSING, why)
        self._wakeup.set()

    def drop(self, details: str) -> None:
        """End the stream in the middle of a response that its client does not take."""
        self._ending = StreamEndsError(grpc.StatusCode.RESOURCE_EXHAUSTED, details, "too slow")
        if self._writer is not None:
            self._writer.cancel()

    @property
    def busy(self) -> bool:
        return self.client.writing_since is not None

    async def read(self, receive: Callable[[bytes], Awaitable[None]]) -> None:
        """Feed requests to the session until the client closes its side."""
        while True:
            data: Any = await self._context.read()
            if data is grpc.aio.EOF:
                self._half_closed = True
                # What has not been asked for by now never will be.
                self._wait_no_more()
                return
            await receive(data)
            self._wakeup.set()

    async def write(self, publisher: Publisher, admission: Admission, clients: Clients) -> None:
        """
        Write what the session owes, whenever woken.

        Raises:
            StreamEndsError: the server ends the stream.

        """
        self._writer = asyncio.current_task()
        try:
            await self._write(publisher, admission, clients)
        except asyncio.CancelledError:
            if self._ending is None:
                raise
            raise self._ending from None

    async def _write(self, publisher: Publisher, admission: Admission, clients: Clients) -> None:
        session = self.client.session
        while not self._half_closed:
            await self._wakeup.wait()
            while self._ending is None and (response := session.next_response(time.time())) is not None:
                await self._write_one(response, admission)
                label = session.catalog.label(response.type_url)
                clients.totals.responses[label] += 1
                clients.totals.response_bytes[label] += len(response.encoded.payload)
            if session.waits:
                self._limit_wait()
            publisher.record_written(self)
            if self._ending is not None:
                raise self._ending

    def _limit_wait(self) -> None:
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._wait_no_more)

    def _wait_no_more(self) -> None:
        self.client.session.wait_no_more()
        self._wakeup.set()

    async def _write_one(self, response: Response, admission: Admission) -> None:
        payload = response.encoded.payload
        share = await admission.acquire(len(payload)) if len(payload) >= SMALL else 0
        self.client.writing_since = time.time()
        try:
            if share:
                share = await self._write_large(payload, share, admission)
            else:
                await self._context.write(payload)
        finally:
            self.client.writing_since = None
            admission.release(share)
        self.client.last_write_at = time.time()

    async def _write_large(self, payload: bytes, share: int, admission: Admission) -> int:
        """Write, giving the share back early when the client does not read; return what is left of it."""
        writing = asyncio.ensure_future(self._context.write(payload))
        try:
            done, _ = await asyncio.wait({writing}, timeout=_STALLED_SECONDS)
            if not done:
                admission.release(share)
                share = 0
            await writing
        finally:
            writing.cancel()
        return share
