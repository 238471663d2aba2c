"""The debug HTTP server: which request gets which answer."""

import asyncio
import time
from functools import partial

from aiohttp import web

from xds_server.addresses import bound_address, join_address, listen, split_address
from xds_server.debug.answers import answer, json_answer, refusal
from xds_server.debug.connections import Connections
from xds_server.debug.dumps import Dumps
from xds_server.debug.guard import Guard
from xds_server.debug.index_page import STYLE, index_page
from xds_server.debug.json_text import to_bytes
from xds_server.debug.loop_lag import measure_lag
from xds_server.debug.metrics import Metrics
from xds_server.debug.paths import PRETTY, PROBES, VIEWS
from xds_server.debug.question import RefusedError, parse_question
from xds_server.debug.served import Served

_STOP_SECONDS = 0.5
_SHOWN = 200


class DebugServer:
    """
    Answers at one address: everything, or the probes alone.

    Probes come from load balancers and kubelets by any name and tell nothing of the mesh, so where
    they are alone there is no guard.
    """

    def __init__(self, served: Served, *, health_only: bool = False) -> None:
        self._served = served
        self._health_only = health_only
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
        flag = "--health-address" if self._health_only else "--http-address"
        listening = await listen(address, flag)
        host, port = bound_address(listening)
        if not self._health_only:
            names = (split_address(address, flag)[0], *self._served.settings.http_hosts)
            self._guard = Guard(names, host)
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
            if request.method not in ("GET", "HEAD"):
                raise RefusedError(405, f"method {request.method[:_SHOWN]} is not for reading: expected GET")
            if request.path in PROBES:
                return self._probe(request)
            if self._health_only:
                raise _unknown(request, " or ".join(PROBES))
            return await self._tell(request)
        except RefusedError as error:
            return refusal(error)

    def _probe(self, request: web.BaseRequest) -> web.Response:
        pretty = parse_question(request.query, (PRETTY,), time.time()).flag(PRETTY)
        readiness = self._served.readiness
        if request.path != "/ready":
            return json_answer({"live": True}, pretty=pretty)
        if readiness.ready:
            return json_answer({"ready": True}, pretty=pretty)
        return json_answer({"ready": False, "reason": readiness.reason}, 503, pretty)

    async def _tell(self, request: web.BaseRequest) -> web.StreamResponse:
        path = VIEWS.get(request.path)
        if path is None:
            return self._page(request)
        question = parse_question(request.query, (*path.parameters, PRETTY), time.time())
        make = partial(path.view, self._served, question)
        return await self._dumps.answer(request, make, question.flag(PRETTY))

    def _page(self, request: web.BaseRequest) -> web.Response:
        if request.path not in ("/", "/style.css", "/metrics"):
            raise _unknown(request, "one that / lists")
        parse_question(request.query, (), time.time())
        if request.path == "/metrics":
            return answer(*self._metrics.render(request.headers.get("Accept", "")))
        if request.path == "/style.css":
            return answer(STYLE.encode(), "text/css; charset=utf-8")
        return answer(to_bytes(index_page(self._served)), "text/html; charset=utf-8")


def _unknown(request: web.BaseRequest, expected: str) -> RefusedError:
    return RefusedError(404, f"unknown path {request.path[:_SHOWN]!r}: expected {expected}")
