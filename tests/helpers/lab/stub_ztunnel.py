"""
A program that stands for ztunnel: it takes and makes the connections that ztunnel does, and no others.

    python stub_ztunnel.py v1|v2

    15001  what a meshed pod opens          to HBONE, to a pod of this ztunnel's, or passed through
    15008  HBONE                            to the pod it names
    15006  plain TCP to a meshed pod        to the pod
    15053  DNS over UDP

HBONE is one line of text here, ``CONNECT ADDRESS PORT CLIENT``. What differs between the two kinds of ztunnel
is what a kernel sees of them:

    v1   marks its sockets, so that its answers go back by the tunnels; HBONE has its own address
    v2   marks nothing; HBONE has the address of the pod it is for

Each line on standard input is the mesh as JSON, taken as a whole; it is answered by ``{"mesh": ...}``. Each
connection is told in a line of JSON before a byte of it goes on. The end of standard input ends the program.
"""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import cast

_IP_TRANSPARENT = 19
_OUTBOUND, _PLAINTEXT, _INBOUND, _SAME_NODE, _DNS = 15001, 15006, 15008, 15088, 15053
_MARKS = {_OUTBOUND: 0x401, _PLAINTEXT: 0x402, _INBOUND: 0x402}
_ORIGINAL_SOURCE = 0x4D2
_CONNECT_SECONDS = 3.0


Address = tuple[str, int]
Way = tuple[str, socket.socket]
"""How a connection goes on, and the one it goes on by."""
Serve = Callable[[socket.socket], Coroutine[None, None, Way]]


@dataclass
class Mesh:
    """Addresses of all meshed pods, of those among them that this ztunnel serves, and of services."""

    meshed: list[str] = field(default_factory=list)
    local: list[str] = field(default_factory=list)
    services: dict[str, Address] = field(default_factory=dict)


class Stub:
    def __init__(self, flavour: str) -> None:
        self._marks = flavour == "v1"
        self.mesh = Mesh()
        self._tasks: set[asyncio.Task[None]] = set()

    async def outbound(self, client: socket.socket) -> Way:
        """A pod opens a connection to what is this socket's own address."""
        source: str = client.getpeername()[0]
        asked: Address = client.getsockname()
        host, port = self.mesh.services.get(f"{asked[0]}:{asked[1]}", asked)
        if host not in self.mesh.meshed:
            return "passthrough", await _connected((host, port), source)
        is_local = host in self.mesh.local
        if is_local and not self._marks:
            # In the name of the pod itself a pod would drop it.
            return "local", await _connected((host, port), source if source != host else "")
        to = (host, _SAME_NODE if is_local else _INBOUND)
        upstream = await _connected(to, "" if self._marks else source)
        await asyncio.get_running_loop().sock_sendall(upstream, f"CONNECT {host} {port} {source}\n".encode())
        return "hbone", upstream

    async def inbound(self, client: socket.socket) -> Way:
        """Another ztunnel, or this one itself, asks for a pod."""
        _, host, port, source = (await _line(client)).split()
        came_from = client.getpeername()[0]
        return "inbound", await _connected((host, int(port)), came_from if self._marks else source)

    async def plaintext(self, client: socket.socket) -> Way:
        """Somebody who is not meshed opens a connection to a pod."""
        return "plaintext", await _connected(client.getsockname(), client.getpeername()[0])

    async def run(self) -> None:
        for port, serve in (
            (_OUTBOUND, self.outbound),
            (_INBOUND, self.inbound),
            (_PLAINTEXT, self.plaintext),
        ):
            self._hold(self._accept(self._listener(port), serve))
        await asyncio.get_running_loop().create_datagram_endpoint(_Dns, local_addr=("0.0.0.0", _DNS))
        _tell(listening=True)
        await self._read_meshes()

    async def _read_meshes(self) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await reader.readline():
            self.mesh = Mesh(**json.loads(line))
            _tell(mesh=len(self.mesh.meshed))

    def _listener(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
        if self._marks:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _MARKS[port])
        listener.bind(("0.0.0.0", port))
        listener.listen(256)
        listener.setblocking(False)
        return listener

    async def _accept(self, listener: socket.socket, serve: Serve) -> None:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            self._hold(self._carry(client, serve))

    async def _carry(self, client: socket.socket, serve: Serve) -> None:
        asked = client.getsockname()[:2]
        with client:
            try:
                way, upstream = await serve(client)
            except (OSError, ValueError) as error:
                _tell(way="failed", asked=asked, why=f"{type(error).__name__} {error}")
                return
            _tell(way=way, asked=asked, client=client.getpeername()[0])
            with upstream:
                await asyncio.gather(_pump(client, upstream), _pump(upstream, client))

    def _hold(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Dns(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        _tell(way="dns", client=addr[0])
        self._transport.sendto(f"ztunnel {addr[0]}\n".encode() + data, addr)


async def _connected(to: Address, source: str) -> socket.socket:
    """Connect in one's own name, or in that of ``source``."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if source:
            sock.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, _ORIGINAL_SOURCE)
            sock.bind((source, 0))
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(sock, to)
    except BaseException:
        sock.close()
        raise
    return sock


async def _line(client: socket.socket) -> str:
    """Read a line and not a byte more: what follows is the pod's."""
    text = b""
    while not text.endswith(b"\n"):
        read = await asyncio.get_running_loop().sock_recv(client, 1)
        if not read:
            raise ConnectionError("closed within a line")
        text += read
    return text.decode()


async def _pump(source: socket.socket, sink: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while data := await loop.sock_recv(source, 1 << 16):
            await loop.sock_sendall(sink, data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(Stub(sys.argv[1]).run())
