"""
Answers that may be large, made so that pushes do not wait for them.

Of each path a few are made at a time, the others wait. All that are made share one turn: between
two turns of the event loop one slice of one dump is made, however many were asked for. A reader
that stalls holds neither the turn nor, for long, a place.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator

from aiohttp import web

from xds_server.debug.answers import JSON, answer, headers
from xds_server.debug.json_text import json_slices

_AT_ONCE = 2


class Dumps:
    """The dumps of one server. ``stall_seconds`` is how long a reader may take nothing."""

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._turn = asyncio.Lock()
        self._places: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE))

    async def answer(
        self, request: web.BaseRequest, make: Callable[[], object], pretty: bool
    ) -> web.StreamResponse:
        """
        Answer with what ``make`` returns, as JSON: whole if it is small, else in chunks.

        Raises:
            RefusedError: ``make`` refuses.
            TimeoutError: the reader stalled.

        """
        async with self._places[request.path]:
            slices = json_slices(make, pretty)
            first = await self._next(slices) or b""
            second = await self._next(slices)
            if second is None:
                return answer(first)
            response = web.StreamResponse(headers=headers(JSON))
            await response.prepare(request)
            if request.method != "HEAD":
                await self._write(response, first + second, slices)
            return response

    async def _next(self, slices: Iterator[bytes]) -> bytes | None:
        async with self._turn:
            made = next(slices, None)
            await asyncio.sleep(0)
        return made

    async def _write(self, response: web.StreamResponse, made: bytes, slices: Iterator[bytes]) -> None:
        following: bytes | None = made
        while following is not None:
            if following:
                async with asyncio.timeout(self._stall_seconds):
                    await response.write(following)
            following = await self._next(slices)
