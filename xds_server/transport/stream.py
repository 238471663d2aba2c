"""
One ADS stream: its requests feed the session, its responses are written when it is woken.

The handler's own task reads; one child task, the only writer, asks the session for responses.
Whatever ends the stream ends both, and cancellation is always passed on: gRPC leaks a stream whose
handler swallows it (field facts, U31).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

from xds_server.sessions.clients import Client, Clients
from xds_server.sessions.session import Response
from xds_server.transport.admission import Admission
from xds_server.transport.publisher import Publisher

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]
# These words make ztunnel reset its back-off and return at once (ztunnel facts, 1.6).
CLOSING = "transport is closing"
# A write that takes this long gives its place in the queue of big writes to the next.
_STALLED_SECONDS = 2.0


class StreamEndsError(Exception):
    """The server ends the stream: the status the client is given, and the word it is counted under."""

    def __init__(self, code: grpc.StatusCode, details: str, why: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.why = why


class Stream:
    """Reads and writes one stream until either side ends it."""

    def __init__(self, client: Client, context: Context, write_timeout: float) -> None:
        self.client = client
        self._context = context
        self._write_timeout = write_timeout
        self._wake = asyncio.Event()
        self._ending: StreamEndsError | None = None
        self._half_closed = False

    def wake(self) -> None:
        self._wake.set()

    def end(self, why: str) -> None:
        """End the stream as soon as its present response is written, so that its client returns at once."""
        self._ending = StreamEndsError(grpc.StatusCode.UNAVAILABLE, CLOSING, why)
        self._wake.set()

    @property
    def busy(self) -> bool:
        return self.client.writing_since is not None

    async def read(self, receive: Callable[[bytes], None]) -> None:
        """Feed requests to the session until the client closes its side."""
        while True:
            data: Any = await self._context.read()
            if data is grpc.aio.EOF:
                self._half_closed = True
                self._wake.set()
                return
            receive(data)
            self._wake.set()

    async def write(self, publisher: Publisher, admission: Admission, clients: Clients) -> None:
        """
        Write what the session owes, whenever woken.

        Raises:
            StreamEndsError: the server ends the stream.

        """
        session = self.client.session
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ending is None and (response := session.next_response(time.time())) is not None:
                await self._write_one(response, admission)
                clients.totals.responses[response.type_url] += 1
                clients.totals.response_bytes[response.type_url] += len(response.encoded.payload)
            publisher.record_written(self)
            if self._ending is not None:
                raise self._ending
            if self._half_closed:
                return

    async def _write_one(self, response: Response, admission: Admission) -> None:
        payload = response.encoded.payload
        share = await admission.acquire(len(payload))
        self.client.writing_since = time.time()
        try:
            if not share:
                async with asyncio.timeout(self._write_timeout):
                    await self._context.write(payload)
            else:
                share = await self._write_large(payload, share, admission)
        except TimeoutError:
            details = f"a response was not taken for {self._write_timeout:g} s"
            raise StreamEndsError(grpc.StatusCode.RESOURCE_EXHAUSTED, details, "too slow") from None
        finally:
            self.client.writing_since = None
            admission.release(share)
        self.client.last_write_at = time.time()

    async def _write_large(self, payload: bytes, share: int, admission: Admission) -> int:
        """Write, giving the share back early when the client does not read; return what is left of it."""
        writing = asyncio.ensure_future(self._context.write(payload))
        try:
            async with asyncio.timeout(self._write_timeout):
                done, _ = await asyncio.wait({writing}, timeout=_STALLED_SECONDS)
                if not done:
                    admission.release(share)
                    share = 0
                await writing
        finally:
            writing.cancel()
        return share
