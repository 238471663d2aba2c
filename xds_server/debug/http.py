"""The debug HTTP server: which request gets which answer."""

import asyncio
import time
from functools import partial

from aiohttp import web

from xds_server.addresses import bound_address, join_address, listen, split_address
from xds_server.debug.answers import answer, refusal
from xds_server.debug.connections import Connections
from xds_server.debug.dumps import Dumps
from xds_server.debug.guard import Guard
from xds_server.debug.health import answer_probe, check_method, unknown
from xds_server.debug.index_page import STYLE, index_page
from xds_server.debug.json_text import to_bytes
from xds_server.debug.loop_lag import measure_lag
from xds_server.debug.metrics import Metrics
from xds_server.debug.paths import PRETTY, PROBES, VIEWS
from xds_server.debug.question import RefusedError, parse_question
from xds_server.debug.served import Served

_FLAG = "--http-address"
_STOP_SECONDS = 0.5


class DebugServer:
    """Answers at one address: everything, the probes among it."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._guard: Guard | None = None
        self._runner: web.ServerRunner | None = None
        self._lag: asyncio.Task[None] | None = None
        self._dumps = Dumps(served.settings.streams.write_timeout_seconds)
        self._metrics = Metrics(served)

    async def start(self, address: str) -> str:
        """
        Listen; return the address that was bound.

        Raises:
            InputError: the address cannot be bound.

        """
        listening = await listen(address, _FLAG)
        host, port = bound_address(listening)
        self._guard = Guard((split_address(address, _FLAG)[0], *self._served.settings.http_hosts), host)
        loop = asyncio.get_running_loop()
        lag = measure_lag(self._metrics.event_loop_lag.observe, loop.time, asyncio.sleep)
        self._lag = asyncio.create_task(lag)
        connections = Connections(self._answer, handler_cancellation=True)
        self._runner = web.ServerRunner(connections, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        return join_address(host, port)

    async def stop(self) -> None:
        """Stop answering; a server that was never started has nothing to stop."""
        if self._lag is not None:
            self._lag.cancel()
            await asyncio.wait([self._lag])
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if self._guard is not None:
                self._guard.check(request)
            check_method(request)
            if request.path in PROBES:
                return answer_probe(request, self._served.readiness)
            return await self._tell(request)
        except RefusedError as error:
            return refusal(error)

    async def _tell(self, request: web.BaseRequest) -> web.StreamResponse:
        path = VIEWS.get(request.path)
        if path is None:
            return self._page(request)
        question = parse_question(request.query, (*path.parameters, PRETTY), time.time())
        make = partial(path.view, self._served, question)
        return await self._dumps.answer(request, make, question.flag(PRETTY))

    def _page(self, request: web.BaseRequest) -> web.Response:
        if request.path not in ("/", "/style.css", "/metrics"):
            raise unknown(request, "one that / lists")
        parse_question(request.query, (), time.time())
        if request.path == "/metrics":
            return answer(*self._metrics.render(request.headers.get("Accept", "")))
        if request.path == "/style.css":
            return answer(STYLE.encode(), "text/css; charset=utf-8")
        return answer(to_bytes(index_page(self._served)), "text/html; charset=utf-8")
