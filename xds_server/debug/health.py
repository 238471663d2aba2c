"""The probes: whether a server lives, and whether it may be sent clients."""

import time

from aiohttp import web

from xds_server.addresses import bound_address, join_address, listen
from xds_server.debug.answers import json_answer, refusal
from xds_server.debug.connections import Connections
from xds_server.debug.paths import PRETTY, PROBES
from xds_server.debug.question import RefusedError, parse_question
from xds_server.debug.readiness import Readiness

_STOP_SECONDS = 0.5
_SHOWN = 200


class HealthServer:
    """
    Answers probes alone, also while nothing else is there yet.

    They come from load balancers and kubelets by any name and tell nothing of the mesh: there is no guard.
    """

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._runner: web.ServerRunner | None = None

    async def start(self, address: str) -> str:
        """
        Listen; return the address that was bound.

        Raises:
            InputError: the address cannot be bound.

        """
        listening = await listen(address, "--health-address")
        connections = Connections(self._answer, handler_cancellation=True)
        self._runner = web.ServerRunner(connections, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        return join_address(*bound_address(listening))

    async def stop(self) -> None:
        """Stop answering; a server that was never started has nothing to stop."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            check_method(request)
            if request.path in PROBES:
                return answer_probe(request, self._readiness)
            raise unknown(request, " or ".join(PROBES))
        except RefusedError as error:
            return refusal(error)


def check_method(request: web.BaseRequest) -> None:
    """
    Let requests pass that only read.

    Raises:
        RefusedError: any other.

    """
    if request.method not in ("GET", "HEAD"):
        raise RefusedError(405, f"method {request.method[:_SHOWN]} is not for reading: expected GET")


def answer_probe(request: web.BaseRequest, readiness: Readiness) -> web.Response:
    """Answer the request for one of the probes."""
    pretty = parse_question(request.query, (PRETTY,), time.time()).flag(PRETTY)
    if request.path != "/ready":
        return json_answer({"live": True}, pretty=pretty)
    if readiness.ready:
        return json_answer({"ready": True}, pretty=pretty)
    return json_answer({"ready": False, "reason": readiness.reason}, 503, pretty)


def unknown(request: web.BaseRequest, expected: str) -> RefusedError:
    """Return what an unknown path is refused with."""
    return RefusedError(404, f"unknown path {request.path[:_SHOWN]!r}: expected {expected}")
