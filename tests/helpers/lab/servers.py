"""
Servers of the lab: whoever is asked tells its name and who it was asked by.

All run in one thread, each with a socket that was made in its own namespace.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from tests.helpers.lab.namespaces import Namespace

T = TypeVar("T")


class Servers:
    """TCP and UDP servers until ``stop``."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()
        self._serving: list[asyncio.Server | asyncio.DatagramTransport] = []
        self._open: set[asyncio.StreamWriter] = set()

    def listen(self, name: str, namespace: Namespace, port: int) -> None:
        """Answer over TCP."""
        sock = namespace.socket(socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", port))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer)
            try:
                await _echo(name, reader, writer)
            finally:
                self._open.discard(writer)

        self._serving.append(self._call(asyncio.start_server(serve, sock=sock)))

    def answer_datagrams(self, name: str, namespace: Namespace, port: int) -> None:
        """Answer over UDP."""
        sock = namespace.socket(socket.SOCK_DGRAM)
        sock.bind(("", port))
        made = self._loop.create_datagram_endpoint(lambda: _Datagrams(name), sock=sock)
        transport, _ = self._call(made)
        self._serving.append(transport)

    def stop(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        for each in self._serving:
            each.close()
        for writer in list(self._open):
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(tasks, timeout=5) if tasks else None

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(_told(self._name, addr[0]) + data, addr)


async def _echo(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell who is who, then send back whatever comes."""
    with contextlib.suppress(OSError):
        writer.write(_told(name, writer.get_extra_info("peername")[0]))
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


def _told(name: str, client: str) -> bytes:
    return f"{name} {client}\n".encode()
