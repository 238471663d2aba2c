"""An HTTPS proxy before an API server that answers in its place, or edits the lines of its watches."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.helpers.api_server import ApiServer

_NOT_PASSED_ON = {"accept-encoding", "transfer-encoding", "content-length", "connection", "date", "host"}
_LONGEST_LINE = 1 << 24


@dataclass(frozen=True)
class Answer:
    """What is answered in the API server's place."""

    status: int
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Edit:
    """
    What becomes of each line of a watch: any number of lines. None breaks the connection off in its midst.
    """

    line: Callable[[bytes], Iterable[bytes] | None]


@dataclass(frozen=True)
class EndAfter:
    """A watch that ends as it should, but after so many lines."""

    lines: int


Fault = Answer | Edit | EndAfter
Rule = Callable[[web.BaseRequest], Fault | None]


class RewritingProxy:
    """Without a rule, or where it says None, everything is passed on."""

    def __init__(self, server: ApiServer) -> None:
        self.rule: Rule | None = None
        self.asked: list[str] = []
        """Path and query of each request."""
        self.url = ""
        self._server = server
        # A watch whose client has gone is ended at the API server too.
        handler = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(handler, shutdown_timeout=0.1)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(self._server.folder / "tls.pem", self._server.folder / "tls.key")
        trusted = ssl.create_default_context(cafile=str(self._server.ca_path))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted),
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=_LONGEST_LINE,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=own)
        await site.start()
        self.url = f"https://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        fault = self.rule(request) if self.rule else None
        if isinstance(fault, Answer):
            return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
        try:
            return await self._passed_on(request, fault)
        except aiohttp.ClientError:
            _break_off(request)
            raise

    async def _passed_on(self, request: web.BaseRequest, fault: Edit | EndAfter | None) -> web.StreamResponse:
        assert self._session is not None
        headers = {name: text for name, text in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        headers["Accept-Encoding"] = "identity"
        url, body = self._server.url + request.path_qs, await request.read()
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {name: text for name, text in answer.headers.items() if name.lower() not in _NOT_PASSED_ON}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            if isinstance(fault, Edit) and answer.status == 200:
                await self._edit(request, response, answer, fault)
            elif isinstance(fault, EndAfter):
                for _ in range(fault.lines):
                    await response.write(await answer.content.readline())
            else:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
            return response

    async def _edit(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        answer: aiohttp.ClientResponse,
        edit: Edit,
    ) -> None:
        async for line in answer.content:
            lines = edit.line(line)
            if lines is None:
                await response.write(line[: len(line) // 2])
                _break_off(request)
                return
            for one in lines:
                await response.write(one)


def _break_off(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def rewriting_proxy(server: ApiServer) -> AsyncIterator[RewritingProxy]:
    proxy = RewritingProxy(server)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
