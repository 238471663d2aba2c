"""Connections: their limits, and what a request that is none of HTTP, or broke us, is answered."""

import asyncio
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from xds_server.debug.answers import json_answer

_IDLE_SECONDS = 30.0
_UNREAD_BODY_SECONDS = 1.0
_LINE_BYTES = 8_190

log = logging.getLogger(__name__)


class Connections(web.Server):
    """Serves one handler; a request whose client has gone is cancelled."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_IDLE_SECONDS,
            lingering_time=_UNREAD_BODY_SECONDS,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
            access_log=None,  # type: ignore[arg-type]  # None is no log, whatever the annotation says
        )


class _Connection(web.RequestHandler):
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """
        Answer what the handler could not.

        Raises:
            ConnectionError: an answer is under way, so all that can be told is that it ends too early.

        """
        if isinstance(exc, HttpProcessingError):
            why = "the request is no HTTP, or its line or a header is over 8 KiB"
            log.debug("a request from %s was refused: %.200r", request.remote, message)
        elif status == 504:
            why = "the answer was not taken in time"
            log.info("%s stopped reading %s", request.remote, request.path)
        else:
            why = "this server failed to make the answer: its log tells more"
            log.error("%s %s failed", request.method, request.path, exc_info=exc)
        if request.writer.output_size > 0:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionError(why)
        response = json_answer({"error": why}, status)
        response.force_close()
        return response
