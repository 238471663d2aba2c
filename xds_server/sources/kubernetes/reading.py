"""The requests for one kind: streamed lists, pages, exact lists and watches, as batches of events."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.request import Request
from xds_server.exceptions import ClusterError
from xds_server.sources.kubernetes.decode import Batch, Decoder
from xds_server.sources.kubernetes.kinds import WatchedKind

_LINES = 200
_LARGEST_PAGE = 1 << 30
_PAGE_SECONDS = 60.0
"""An API server that has much to do lets lists wait."""


@dataclass(frozen=True, slots=True)
class ReadTiming:
    """
    Of the requests, in seconds.

    A watch is asked to end, and resumed, well before its silence would be taken for a dead connection:
    idle ones, too, show in that time that somebody is there.
    """

    watch_seconds: float = 45.0
    """About; each watch takes up to a tenth more or less."""
    silence_seconds: float = 55.0
    list_seconds: int = 300
    page_size: int = 500


class Reading:
    """Reads one kind in one of its versions."""

    def __init__(
        self,
        connection: ApiConnection,
        kind: WatchedKind,
        timing: ReadTiming,
        random: Callable[[], float],
    ) -> None:
        self.version = kind.versions[0]
        """Of the API group; the one that is installed."""
        self._connection = connection
        self._kind = kind
        self._timing = timing
        self._random = random
        self._decoder = Decoder(kind)

    async def streamed_list(self) -> AsyncGenerator[Batch, None]:
        """
        Yield all objects as a watch sends them; the last batch says ``listed``, if the server can.

        Raises:
            ClusterError: the server refused, failed or broke off.

        """
        query = {
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "timeoutSeconds": str(self._timing.list_seconds),
        }
        async with self._watching(query) as chunks:
            async for batch in self._batches(chunks, ""):
                yield batch
                if batch.listed:
                    return

    async def pages(self, version: str = "") -> AsyncGenerator[Batch, None]:
        """
        Yield all objects by pages, those of exactly ``version`` if one is given.

        Raises:
            ClusterError: the server refused or failed.

        """
        exact = {"resourceVersion": version, "resourceVersionMatch": "Exact"} if version else {}
        more = ""
        while True:
            query = {"limit": str(self._timing.page_size), **({"continue": more} if more else exact)}
            content = await self._connection.ask(self._request(query), _LARGEST_PAGE, _PAGE_SECONDS)
            batch = self._decoder.page(content)
            yield batch
            more = batch.more
            if not more:
                return

    async def watch(self, version: str) -> AsyncGenerator[Batch, None]:
        """
        Yield what happened after ``version`` until the server ends it; at first, when it begins, nothing.

        Raises:
            ClusterError: the server refused, failed, broke off or was silent for too long.

        """
        seconds = self._timing.watch_seconds * (0.9 + self._random() / 5)
        query = {"resourceVersion": version, "timeoutSeconds": str(max(1, int(seconds)))}
        async with self._watching(query) as chunks:
            yield Batch(version=version)
            async for batch in self._batches(chunks, version):
                yield batch

    def _request(self, query: Mapping[str, str]) -> Request:
        query = {**self._kind.selectors, **query}
        return Request("GET", self._kind.path(self.version), query=query, right=self._kind.right)

    @asynccontextmanager
    async def _watching(self, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        request = self._request({"watch": "true", "allowWatchBookmarks": "true", **query})
        async with self._connection.stream(request, self._timing.silence_seconds) as chunks:
            yield chunks

    async def _batches(self, chunks: AsyncIterator[bytes], after: str) -> AsyncGenerator[Batch, None]:
        rest = b""
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for start in range(0, len(lines), _LINES):
                batch = self._decoder.events(lines[start : start + _LINES], after)
                after = batch.version if after else ""
                yield batch
        if rest:
            raise ClusterError(f"a watch of {self._kind.name} broke off in the midst of an event")
