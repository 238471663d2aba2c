"""An API server over TLS that takes one request at a time, and answers as a test says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.helpers.cluster_authority import write_certificates

OK = (200, "{}")


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class FakeApiServer:
    """``answers`` are given one after the other, and then 200; a ``None`` is no answer at all."""

    account: Path
    port: int = 0
    answers: list[tuple[int, str] | None] = field(default_factory=list)
    asked: "asyncio.Queue[Asked]" = field(default_factory=asyncio.Queue)

    @property
    def environment(self) -> dict[str, str]:
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await reader.readexactly(int(headers["Content-Length"]))
            answer = self.answers.pop(0) if self.answers else OK
            self.asked.put_nowait(Asked(method, path, headers, json.loads(body)))
            if answer is not None:
                status, text = answer
                said = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(text.encode())}\r\n\r\n{text}"
                writer.write(said.encode())
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def fake_api_server(folder: Path) -> AsyncIterator[FakeApiServer]:
    """Run one, with an account that it would know in ``folder``."""
    await asyncio.to_thread(write_certificates, folder)
    (folder / "ca.pem").rename(folder / "ca.crt")
    (folder / "token").write_text("token of the account\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    made = FakeApiServer(folder)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
