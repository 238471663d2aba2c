"""
TLS before gRPC, for clients that may have a certificate.

gRPC for Python either demands a client certificate or never asks for one. So here the connection is
taken, its handshake made with an optional certificate, and its bytes are handed to gRPC through an
abstract socket with a name that nobody can guess. Our end of it has a name of its own, by which gRPC's
peer leads back to the connection: who it is from, and what it proved. Whoever should find the way in
without TLS comes from no connection we know, and proves itself by a token or not at all.
"""

import asyncio
import logging
import os
import secrets
import socket
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from xds_server.exceptions import InputError, LocalError
from xds_server.identity.server_certificate import ServedPair, ServerCertificate
from xds_server.transport.relay import Half

_HANDSHAKE_SECONDS = 10.0
_SHUTDOWN_SECONDS = 2.0
_MOST_CONNECTIONS = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connection:
    """One client: its address as gRPC would tell it, and its verified certificate (DER), if it has one."""

    address: str
    certificate: bytes = b""


class TlsFront:
    """Takes connections with TLS and hands them to a gRPC server that listens on ``inner``."""

    def __init__(self, certificate: ServerCertificate, trust_bundle: Callable[[], str]) -> None:
        self._certificate = certificate
        self._trust_bundle = trust_bundle
        self._name = f"offmesh-{secrets.token_hex(16)}"
        self._connections: dict[str, Connection] = {}
        self._last = 0
        self._context: ssl.SSLContext | None = None
        self._trusted = ""
        self._pair: ServedPair | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def inner(self) -> str:
        """The address for gRPC to listen on."""
        return f"unix-abstract:{self._name}"

    def connection(self, peer: str) -> Connection:
        """Return the connection that gRPC calls ``peer``."""
        return self._connections.get(peer.removeprefix("unix-abstract:")) or Connection(peer)

    def start(self, listening: socket.socket) -> None:
        """
        Take connections from a listening socket.

        Raises:
            InputError: the authority cannot sign a certificate to serve with.

        """
        self._present_context()
        listening.setblocking(False)
        self._keep(self._accept(listening))

    async def close(self) -> None:
        """Take no more connections, and drop those that are left."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    taken, address = await loop.sock_accept(listening)
                except OSError as error:
                    log.warning("a connection could not be taken: %s", error)
                    await asyncio.sleep(0.1)
                    continue
                if len(self._tasks) > _MOST_CONNECTIONS:
                    taken.close()
                else:
                    self._keep(self._serve(taken, _as_grpc_tells(taken, address)))

    async def _serve(self, taken: socket.socket, address: str) -> None:
        outer, inner = Half(), Half()
        name = ""
        try:
            certificate = await self._shake_hands(taken, outer)
            self._last += 1
            name = f"{self._name}-{self._last}"
            self._connections[name] = Connection(address, certificate)
            await self._connect(name, inner)
            inner.join(outer)
            outer.join(inner)
            await outer.lost
            await inner.lost
        except (OSError, TimeoutError, InputError) as error:
            log.debug("no TLS with %s: %s", address, error)
        finally:
            outer.abort()
            inner.abort()
            self._connections.pop(name, None)

    async def _shake_hands(self, taken: socket.socket, outer: Half) -> bytes:
        taken.setblocking(False)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: outer,
                taken,
                ssl=self._present_context(),
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS,
            )
        except BaseException:
            taken.close()
            raise
        return transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""

    async def _connect(self, name: str, inner: Half) -> None:
        loop = asyncio.get_running_loop()
        ours = socket.socket(socket.AF_UNIX)
        try:
            ours.setblocking(False)
            ours.bind(f"\0{name}")
            await loop.sock_connect(ours, f"\0{self._name}")
            await loop.create_connection(lambda: inner, sock=ours)
        except BaseException:
            ours.close()
            raise

    def _present_context(self) -> ssl.SSLContext:
        """Return a context with the certificate and the roots now in force; those of before are dropped."""
        try:
            newer = self._certificate.newer()
        except InputError as error:
            if self._pair is None:
                raise
            log.error("the secure port keeps its certificate: %s", error)
            newer = None
        trusted = self._trust_bundle()
        if newer is not None or self._context is None or trusted != self._trusted:
            self._pair, self._trusted = newer or self._pair, trusted
            if self._pair is None:
                raise LocalError("a server certificate was taken by somebody else")
            self._context = _new_context(self._pair, trusted)
        return self._context


def _new_context(pair: ServedPair, trusted: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=trusted)
    # The ssl module reads keys from files alone: this one is in memory and has no name.
    held = os.memfd_create("offmesh", os.MFD_CLOEXEC)
    with os.fdopen(held, "w", encoding="ascii") as file:
        file.write(pair.key + pair.chain)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{held}")
    return context


def _as_grpc_tells(taken: socket.socket, address: tuple[str, int]) -> str:
    host, port = address[:2]
    if taken.family == socket.AF_INET6 and not host.startswith("::ffff:"):
        return f"ipv6:[{host}]:{port}"
    return f"ipv4:{host.removeprefix('::ffff:')}:{port}"
