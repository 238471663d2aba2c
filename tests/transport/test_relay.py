"""What comes from one side of a relay goes to the other, no faster than that takes it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from xds_server.transport.relay import Half


class Relayed:
    """Two plain ends with a relay between them."""

    def __init__(self) -> None:
        self.left, self._left = socket.socketpair()
        self.right, self._right = socket.socketpair()
        self.halves = (Half(), Half())
        for end in (self.left, self.right, self._left, self._right):
            end.setblocking(False)

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        one, two = self.halves
        await loop.create_connection(lambda: one, sock=self._left)
        await loop.create_connection(lambda: two, sock=self._right)
        one.join(two)
        two.join(one)


@asynccontextmanager
async def relayed() -> AsyncIterator[Relayed]:
    made = Relayed()
    await made.open()
    try:
        yield made
    finally:
        for half in made.halves:
            half.abort()
            await half.lost
        made.left.close()
        made.right.close()


async def read(end: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await asyncio.get_running_loop().sock_recv(end, 1 << 20)
    return data


async def test_bytes_go_both_ways() -> None:
    async with relayed() as ends:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(ends.left, b"there")
        assert await read(ends.right, 5) == b"there"
        await loop.sock_sendall(ends.right, b"back")
        assert await read(ends.left, 4) == b"back"


async def test_a_side_that_takes_nothing_stops_the_other() -> None:
    async with relayed() as ends:
        loop = asyncio.get_running_loop()
        sent = 0
        chunk = bytes(1 << 16)
        while True:
            try:
                async with asyncio.timeout(0.2):
                    await loop.sock_sendall(ends.left, chunk)
            except TimeoutError:
                break
            sent += len(chunk)
            assert sent < 64 << 20, "the relay takes without end"
        assert len(await read(ends.right, sent)) >= sent
        await loop.sock_sendall(ends.left, b"x")


async def test_the_end_of_one_side_is_the_end_of_the_other() -> None:
    async with relayed() as ends:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(ends.left, b"last words")
        ends.left.close()
        assert await read(ends.right, 10) == b"last words"
        assert await loop.sock_recv(ends.right, 10) == b""
        for half in ends.halves:
            await half.lost


async def test_nothing_is_read_before_there_is_another_side() -> None:
    loop = asyncio.get_running_loop()
    one, two = socket.socketpair()
    two.setblocking(False)
    half = Half()
    one.setblocking(False)
    await loop.create_connection(lambda: half, sock=one)
    await loop.sock_sendall(two, b"early")
    await asyncio.sleep(0.02)
    other_one, other_two = socket.socketpair()
    for end in (other_one, other_two):
        end.setblocking(False)
    other = Half()
    await loop.create_connection(lambda: other, sock=other_one)
    half.join(other)
    assert await read(other_two, 5) == b"early"
    for each in (half, other):
        each.abort()
        await each.lost
    two.close()
    other_two.close()
