"""The placement map file, read at start and followed from then on."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from xds_server.exceptions import LocalError, Problem
from xds_server.sources.placement.findings import PlacementError
from xds_server.sources.placement.in_force import Loaded, MapInForce, utc_now
from xds_server.sources.problems import Problems
from xds_server.sources.watch.files import FileWatch
from xds_server.store.registry import Registry


class UnreadableError(PlacementError):
    """The file is there and cannot be read."""


def read_map_file(path: Path) -> bytes:
    """
    Read the file of a placement map.

    Raises:
        PlacementError: it is missing.
        UnreadableError: it cannot be read.

    """
    expected = "a file with pairs: or singles:"
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise PlacementError([Problem(str(path), "placement map", "missing", expected)]) from None
    except OSError as error:
        why = f"unreadable ({error.strerror})"
        raise UnreadableError([Problem(str(path), "placement map", why, expected)]) from None


class ClusterConfSource:
    """Keeps the pairs and singles of a registry equal to what a file states."""

    def __init__(
        self,
        path: Path,
        registry: Registry,
        problems: Problems,
        now: Callable[[], datetime] = utc_now,
        retry_seconds: float = 1.0,
    ) -> None:
        self._path = path
        self._map = MapInForce(str(path), registry, problems, now)
        self._retry_seconds = retry_seconds
        self._watch: FileWatch | None = None

    @property
    def state(self) -> Loaded | None:
        """None until a first map is in force."""
        return self._map.state

    @property
    def missing(self) -> str:
        """Why no map is in force yet."""
        return "" if self.state else "the placement map is not loaded"

    async def load(self) -> None:
        """
        Read the map for the first time and put it in force.

        Raises:
            PlacementError: the file is missing, cannot be read, or is wrong.

        """
        # Under watch before it is read: follow() is told of what is written from here on.
        self._watch = FileWatch([self._path])
        try:
            await self._map.load(await asyncio.to_thread(read_map_file, self._path))
        except PlacementError:
            self.close()
            raise

    async def follow(self) -> None:
        """
        Keep the collections equal to the file, for ever.

        Raises:
            LocalError: no map is loaded yet.

        """
        if self._watch is None or self.state is None:
            raise LocalError("a placement map is loaded before it is followed")
        try:
            async with aclosing(self._watch.changes()) as changes:
                async for _ in changes:
                    readable = await self._reload()
                    while not readable:
                        # Nobody tells of a permission that was granted.
                        await asyncio.sleep(self._retry_seconds)
                        readable = await self._reload()
        finally:
            self.close()

    def close(self) -> None:
        """Stop watching; the map in force stays."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    async def _reload(self) -> bool:
        """Put in force what the file says now; return whether it could be read, if it is there."""
        try:
            text = await asyncio.to_thread(read_map_file, self._path)
        except PlacementError as error:
            self._map.fail(error)
            return not isinstance(error, UnreadableError)
        await self._map.reload(text)
        return True
