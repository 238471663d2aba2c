"""The ways to an API server: credentials of every kind, proxies, and what is told when none leads there."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from tests.helpers.api_server import ApiServer
from tests.helpers.authorities import new_generation
from tests.helpers.cluster_client import ADMIN
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.request import ApiError, Request
from xds_server.exceptions import ClusterError

GET = Request("GET", "/api/v1/namespaces/default")


async def name_of_the_answer(kubeconfig: Path, context: str = "") -> str:
    connection = ApiConnection(str(kubeconfig), context)
    try:
        return str(json.loads(await connection.ask(GET))["metadata"]["name"])
    finally:
        await connection.close()


def edited(kubeconfig: Path, user: dict[str, object] | None, /, **cluster: object) -> Path:
    """Change the user of a kubeconfig, and add to its cluster."""
    content = yaml.safe_load(kubeconfig.read_text())
    content["clusters"][0]["cluster"] |= cluster
    content["users"][0]["user"] = user if user is not None else content["users"][0]["user"]
    kubeconfig.write_text(yaml.safe_dump(content))
    return kubeconfig


def plugin(folder: Path, token: str) -> dict[str, object]:
    """Make a credential plugin; it notes each time it was run."""
    script = folder / "plugin.sh"
    api = "client.authentication.k8s.io/v1"
    told = json.dumps({"apiVersion": api, "kind": "ExecCredential", "status": {"token": token}})
    script.write_text(f"#!/bin/sh\necho run >>{folder / 'runs'}\ncat <<'END'\n{told}\nEND\n")
    script.chmod(0o755)
    return {"exec": {"apiVersion": api, "command": str(script), "interactiveMode": "Never"}}


async def test_a_token_in_a_kubeconfig_and_its_context(api_server: ApiServer, tmp_path: Path) -> None:
    kubeconfig = api_server.kubeconfig(tmp_path / "kubeconfig")
    assert await name_of_the_answer(kubeconfig) == "default"
    assert await name_of_the_answer(kubeconfig, "test") == "default"
    with pytest.raises(ClusterError, match="cannot be used"):
        await name_of_the_answer(kubeconfig, "absent")


async def test_a_token_file_that_is_renewed(api_server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("expired")
    kubeconfig = edited(api_server.kubeconfig(tmp_path / "kubeconfig"), {"tokenFile": str(file)})
    connection = ApiConnection(str(kubeconfig))
    with pytest.raises(ApiError, match=r"\(401\)"):
        await connection.ask(GET)
    file.write_text(ADMIN)
    assert b'"default"' in await connection.ask(GET)
    await connection.close()


async def test_a_plugin_is_run_again_when_what_it_gave_is_refused(
    api_server: ApiServer, tmp_path: Path
) -> None:
    user = plugin(tmp_path, "expired")
    connection = ApiConnection(str(edited(api_server.kubeconfig(tmp_path / "kubeconfig"), user)))
    with pytest.raises(ApiError, match=r"\(401\)"):
        await connection.ask(GET)
    plugin(tmp_path, ADMIN)
    for _ in range(3):
        assert b'"default"' in await connection.ask(GET)
    assert (tmp_path / "runs").read_text().splitlines() == ["run", "run"]
    await connection.close()


@pytest.mark.parametrize("how", ["kubeconfig", "environment"])
async def test_a_proxy_named_by_kubeconfig_or_environment_is_used(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    kubeconfig = api_server.kubeconfig(tmp_path / "kubeconfig")
    async with connect_proxy() as (url, asked):
        if how == "kubeconfig":
            edited(kubeconfig, None, **{"proxy-url": url})
        else:
            monkeypatch.setenv("HTTPS_PROXY", url)
        assert await name_of_the_answer(kubeconfig) == "default"
    assert asked == [f"CONNECT 127.0.0.1:{api_server.port} HTTP/1.1"]


async def test_a_server_whose_authority_was_renewed_on_disk_is_believed_again(
    api_server: ApiServer, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    kubeconfig = api_server.kubeconfig(tmp_path / "kubeconfig")
    edited(kubeconfig, None, **{"certificate-authority": str(ca)})
    ca.write_text("".join(new_generation().roots))
    connection = ApiConnection(str(kubeconfig))
    with pytest.raises(ClusterError, match="certificate verify failed"):
        await connection.ask(GET)
    ca.write_bytes(api_server.ca_path.read_bytes())
    assert b'"default"' in await connection.ask(GET)
    await connection.close()


@asynccontextmanager
async def connect_proxy() -> AsyncIterator[tuple[str, list[str]]]:
    """Run an HTTP proxy that only tunnels; give its address and the requests it gets."""
    asked: list[str] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        asked.append(head[0])
        host, _, port = head[0].split()[1].rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()
        await asyncio.sleep(0.05)
