"""Real API servers: some for all tests of a process, and others for those that break theirs."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from tests.helpers.api_server import DEBIAN_ETCD, ApiServer, running_api_server


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with _started(tmp_path_factory.mktemp("api-server")) as server:
        yield server


@pytest.fixture(scope="session")
def started_on_debian_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with _started(tmp_path_factory.mktemp("paged-api-server"), DEBIAN_ETCD) as server:
        yield server


@pytest.fixture(params=["started", "started_on_debian_etcd"], ids=["streamed lists", "paged lists"])
def either_started(request: pytest.FixtureRequest) -> ApiServer:
    return cast(ApiServer, request.getfixturevalue(request.param))


@pytest.fixture
async def api_server(started: ApiServer) -> AsyncIterator[ApiServer]:
    """The shared API server: use namespaces and names of your own, and leave it as it was."""
    yield started
    await started.close()


@pytest.fixture
async def paged_api_server(started_on_debian_etcd: ApiServer) -> AsyncIterator[ApiServer]:
    """Another shared one, which cannot stream a list."""
    yield started_on_debian_etcd
    await started_on_debian_etcd.close()


@pytest.fixture
async def either_api_server(either_started: ApiServer) -> AsyncIterator[ApiServer]:
    """One of the two after the other."""
    yield either_started
    await either_started.close()


@pytest.fixture
async def own_api_server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """An API server to be broken."""
    folder = tmp_path / "api-server"
    folder.mkdir()
    async with running_api_server(folder) as server:
        yield server


@contextmanager
def _started(folder: Path, etcd: str = "etcd") -> Iterator[ApiServer]:
    server = ApiServer(folder, etcd)
    try:
        asyncio.run(_start(server))
        yield server
    finally:
        asyncio.run(server.stop())


async def _start(server: ApiServer) -> None:
    """Start it without the connections of a loop that ends."""
    try:
        await server.start()
    finally:
        await server.close()
