"""
Tells that a kernel's network changed, by whomever: links, addresses, routes, rules, and chains of ours.

The kernel has no such news of sets, of the legacy backend of iptables, and of most sysctls: whoever keeps
those looks for himself now and then. Our own writes are news as well.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from errno import ENOBUFS
from functools import partial

from xds_server.datapath.kernel import Backend, Kernel, in_thread
from xds_server.datapath.namespaces import enter
from xds_server.datapath.netlink import NETFILTER, ROUTE, messages
from xds_server.exceptions import KernelError

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_ROUTE_GROUPS = (1, 5, 7, 8, 9, 11, 19, 24)
"""Links; addresses, routes and rules of both families; sysctls of devices."""
_NFTABLES_GROUP = 7
_KINDS: Mapping[int, str] = {
    **dict.fromkeys((16, 17), "link"),
    **dict.fromkeys((20, 21), "address"),
    **dict.fromkeys((24, 25), "route"),
    **dict.fromkeys((32, 33), "rule"),
    **dict.fromkeys((80, 81), "sysctl"),
}
_NFTABLES = 10
"""The subsystem, in the upper half of a message's type."""
_RECEIVED = 1 << 16
_ROOM = 1 << 20

LOST = "lost"
"""There was more news than room: anything may have changed."""


class Monitor:
    """Gathers news from the moment it is made; see :func:`monitored`."""

    def __init__(
        self, prefix: str, quiet: float, longest: float, sockets: Sequence[socket.socket] = ()
    ) -> None:
        self._sockets = sockets
        self._prefix = prefix.encode()
        self._quiet, self._longest = quiet, longest
        self._kinds: set[str] = set()
        self._news = asyncio.Event()

    async def changed(self) -> frozenset[str]:
        """
        Return what kinds of things changed since the last call; wait for the first that does.

        Changes that follow each other closely are told of at once.
        """
        while True:
            await self._news.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._longest):
                    await self._fall_quiet()
            self._news.clear()
            kinds, self._kinds = frozenset(self._kinds), set()
            if kinds:
                return kinds

    def forget(self) -> None:
        """Take all news up to now for known: whoever looks after this sees what they tell of."""
        for opened in self._sockets:
            self.receive(opened)
        self._kinds.clear()
        self._news.clear()

    def receive(self, opened: socket.socket) -> None:
        """Take in all the news a socket has."""
        while True:
            try:
                received = opened.recv(_RECEIVED)
            except BlockingIOError:
                return
            except OSError as error:
                self._tell(LOST)
                if error.errno != ENOBUFS:
                    return
            else:
                for kind, _, _, body in messages(received):
                    self._read(kind, body)

    async def _fall_quiet(self) -> None:
        while self._news.is_set():
            self._news.clear()
            # wait_for would swallow a cancellation that comes together with the news.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._quiet):
                    await self._news.wait()

    def _read(self, kind: int, body: bytes) -> None:
        if kind >> 8 == _NFTABLES:
            if self._prefix in body:
                self._tell("chain")
        elif kind in _KINDS:
            self._tell(_KINDS[kind])

    def _tell(self, kind: str) -> None:
        self._kinds.add(kind)
        self._news.set()


@contextlib.asynccontextmanager
async def monitored(
    kernel: Kernel, prefix: str, quiet: float = 0.05, longest: float = 0.5
) -> AsyncIterator[Monitor]:
    """
    Give a monitor of a kernel; what changes from now on is told, also while nobody asks.

    ``prefix`` begins the names of chains that are ours; ``quiet`` and ``longest`` are seconds: changes
    are gathered until none comes for the one, or for the other.

    Raises:
        KernelError: its namespace cannot be entered, or it gives no news.

    """
    sockets: list[socket.socket] = []
    loop = asyncio.get_running_loop()
    try:
        # Also when this is cancelled while they are opened, they are there to be closed.
        await in_thread(partial(_open, kernel, sockets))
        monitor = Monitor(prefix, quiet, longest, sockets)
        for opened in sockets:
            loop.add_reader(opened, monitor.receive, opened)
        yield monitor
    finally:
        for opened in sockets:
            loop.remove_reader(opened)
            opened.close()


def _open(kernel: Kernel, opened: list[socket.socket]) -> None:
    enter(kernel.netns)
    opened.append(_listening(ROUTE, _ROUTE_GROUPS))
    if kernel.backend is Backend.NFT:
        opened.append(_listening(NETFILTER, (_NFTABLES_GROUP,)))


def _listening(protocol: int, groups: tuple[int, ...]) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except OSError as error:
        opened.close()
        raise KernelError(f"news of the network: {error.strerror}") from error
    return opened
