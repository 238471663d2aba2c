"""The parent's side of one signing process: started, fed, read, and started again when it dies."""

import asyncio
import logging
import sys
from typing import Protocol

import msgspec

from xds_server.identity.signing.work import Done, Work
from xds_server.identity.signing.worker import LENGTH_BYTES, frame

# Enough to keep it busy while answers travel, few enough that turns stay fair.
WINDOW = 8
_PAUSE_SECONDS = 1.0
_COMMAND = (sys.executable, "-P", "-m", "xds_server.identity.signing.worker")

log = logging.getLogger(__name__)


class Employer(Protocol):
    """Who hands out work."""

    def receive_room(self) -> None: ...
    def receive_done(self, done: Done) -> None: ...
    def receive_lost(self, numbers: set[int]) -> None: ...


class SigningProcess:
    """Takes work while it has room; tells its employer of room, results, and work lost with a process."""

    def __init__(self, employer: Employer) -> None:
        self._employer = employer
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Done)
        self._process: asyncio.subprocess.Process | None = None
        self._in_work: set[int] = set()

    @property
    def room(self) -> int:
        return WINDOW - len(self._in_work) if self._process is not None else 0

    def give(self, work: Work) -> None:
        """Hand over work; there must be room."""
        assert self._process is not None  # noqa: S101 - room says so
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._in_work.add(work.number)
        self._process.stdin.write(frame(self._encoder.encode(work)))

    async def run(self) -> None:
        """Keep a process working for ever; cancellation ends it."""
        while True:
            try:
                await self._live()
            except (OSError, RuntimeError) as error:
                # A pipe that is gone is told as either; it must cost the process, not the server.
                log.error("a signing process cannot be worked with: %s", error)
            lost, self._in_work = self._in_work, set()
            self._employer.receive_lost(lost)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _live(self) -> None:
        """Start a process and work with it until it ends."""
        pipe = asyncio.subprocess.PIPE
        # A session of its own: Ctrl-C is for the parent, which ends this one by closing its input.
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, stdin=pipe, stdout=pipe, start_new_session=True
        )
        self._process = process
        try:
            self._employer.receive_room()
            await self._read(process)
        finally:
            self._process = None
            await _end(process)
        log.error("a signing process ended with %s; starting another", process.returncode)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            while True:
                head = await process.stdout.readexactly(LENGTH_BYTES)
                body = await process.stdout.readexactly(int.from_bytes(head, "big"))
                done = self._decoder.decode(body)
                self._in_work.discard(done.number)
                self._employer.receive_done(done)
        except (asyncio.IncompleteReadError, ConnectionError, msgspec.MsgspecError):
            return


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
    if process.stdin is not None:
        process.stdin.close()
