"""A real API server with a made-up mesh, and servers that follow it."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.cluster_mesh import NAMESPACE, PLACEMENT_MAP, listed_counts, own_objects, stored_objects
from bench.layout import Size
from bench.server import Server
from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_load import store
from tests.helpers.cluster_objects import crds
from tests.helpers.offmesh import serve_cluster
from tests.helpers.programs import TOOLS

_TOOLS = ("etcd", "kube-apiserver")
_LISTED_SECONDS = 120.0


def missing_tools() -> list[str]:
    """Return the programs that an API server takes and that are not there."""
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    return [name for name in _TOOLS if shutil.which(name, path=path) is None]


class Cluster:
    """A running API server that has the mesh, and a folder for what belongs to it."""

    def __init__(self, api: ApiServer, size: Size, folder: Path) -> None:
        self.api = api
        self.size = size
        self.folder = folder

    @contextmanager
    def serving(self, name: str = "offmesh") -> Iterator[Server]:
        """
        Serve it with a replica of this name, in the way operators do, until the block ends.

        Raises:
            AssertionError: it did not become ready; the message holds its log.

        """
        folder = self.folder / name
        folder.mkdir()
        kubeconfig = self.api.kubeconfig(folder / "kubeconfig")
        flags = (f"--namespace={NAMESPACE}", f"--cluster-conf-configmap={PLACEMENT_MAP}")
        begun = time.monotonic()
        with serve_cluster(folder, kubeconfig, *flags, POD_NAME=name) as served:
            seconds = time.monotonic() - begun
            bound = {"grpc": served.grpc, "secureGrpc": served.secure, "http": served.http}
            yield Server(served.process.pid, bound, seconds)

    def stop_api_server(self) -> None:
        asyncio.run(self.api.stop_server())

    def start_api_server(self) -> None:
        asyncio.run(self._start_api_server())

    async def _start_api_server(self) -> None:
        try:
            await self.api.start_server()
        finally:
            await self.api.close()


@contextmanager
def running_cluster(size: Size) -> Iterator[Cluster]:
    """
    Run an API server with a mesh of this size until the block ends.

    Raises:
        RuntimeError: the API server does not run, or does not list what was stored.

    """
    with TemporaryDirectory(prefix="offmesh-bench-") as name:
        folder = Path(name)
        api = ApiServer(folder)
        try:
            asyncio.run(_fill(api, size))
            yield Cluster(api, size, folder)
        finally:
            asyncio.run(api.stop())


async def _fill(api: ApiServer, size: Size) -> None:
    try:
        await api.start()
        await api.apply(crds(), own_objects(size))
        await store(api, stored_objects(size))
        for path, count in listed_counts(size).items():
            await _list(api, path, count)
    finally:
        await api.close()


async def _list(api: ApiServer, path: str, count: int) -> None:
    """Wait until a list of the API server has so many objects."""
    deadline, listed = time.monotonic() + _LISTED_SECONDS, -1
    while listed != count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{path}: {listed} objects are listed, expected {count}")
        answer = await api.request("GET", f"{path}?limit=1")
        listed = len(answer["items"]) + answer["metadata"].get("remainingItemCount", 0)
        await asyncio.sleep(0.1)
