"""A debug server on a free port, and what asks it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from xds_server.debug.health import HealthServer
from xds_server.debug.http import DebugServer
from xds_server.debug.served import Served


class RunningDebug:
    """The server under test, at ``address``."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.session = session

    async def get(self, path: str, method: str = "GET", **headers: str) -> aiohttp.ClientResponse:
        """Ask for a path as it is written, and read the whole answer."""
        url = URL(f"http://{self.address}{path}", encoded=True)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.session.request(method, url, headers=sent)
        await response.read()
        return response

    async def json(self, path: str) -> Any:
        response = await self.get(path)
        assert response.status == 200, await response.text()
        return await response.json()

    async def error(self, path: str, status: int) -> str:
        """Return the error of an answer that must be one."""
        response = await self.get(path)
        assert response.status == status, await response.text()
        return str((await response.json())["error"])

    async def raw(self, request: bytes) -> bytes:
        """Send bytes; return the answer's."""
        host, port = self.address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def running_debug(
    served: Served, address: str = "127.0.0.1:0", *, health_only: bool = False
) -> AsyncIterator[RunningDebug]:
    server = HealthServer(served.readiness) if health_only else DebugServer(served)
    bound = await server.start(address)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield RunningDebug(bound, session)
    finally:
        await server.stop()
