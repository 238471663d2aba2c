"""A TCP proxy that cuts, stalls, delays and truncates what passes, whatever it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_CHUNK = 1 << 16


class FaultyProxy:
    """Stands between a client and one port of this machine; without faults it only passes on."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.connections = 0
        """How many were ever made."""
        self._target = port
        self._server: asyncio.Server | None = None
        self._pairs: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._left: int | None = None
        self._delay = 0.0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.mend()
        while self._pairs:
            self._abort()
            await asyncio.sleep(0.01)
        await self._server.wait_closed()

    def cut(self) -> None:
        """End all connections and make no more, until ``mend``."""
        self._refusing = True
        self._abort()

    def drop(self) -> None:
        """End all connections; new ones are welcome."""
        self._abort()

    def stall(self) -> None:
        """Keep connections open, take new ones, and pass nothing on, until ``mend``."""
        self._flowing.clear()

    def truncate(self, after: int) -> None:
        """End the connection that would bring more than ``after`` further bytes from the server."""
        self._left = after

    def delay(self, seconds: float) -> None:
        """Hold what passes back for so long, at most 64 KiB of a direction of a connection at a time."""
        self._delay = seconds

    def mend(self) -> None:
        self._refusing = False
        self._left = None
        self._delay = 0.0
        self._flowing.set()

    def _abort(self) -> None:
        for writer in self._pairs:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            writer.transport.abort()
            return
        try:
            back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        if self._refusing:  # since it was taken
            writer.transport.abort()
            back_writer.transport.abort()
            return
        self._pairs |= {writer, back_writer}
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass_on(reader, back_writer, limited=False))
                tasks.create_task(self._pass_on(back_reader, writer, limited=True))
        except* OSError:
            pass
        finally:
            self._pairs -= {writer, back_writer}
            for end in (writer, back_writer):
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, limited: bool
    ) -> None:
        while data := await reader.read(_CHUNK):
            await asyncio.sleep(self._delay)
            await self._flowing.wait()
            if limited and self._left is not None:
                writer.write(data[: self._left])
                self._left -= len(data)
                if self._left < 0:
                    self._left = None
                    await writer.drain()
                    raise ConnectionResetError
            else:
                writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def faulty_proxy(port: int) -> AsyncIterator[FaultyProxy]:
    proxy = FaultyProxy(port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
