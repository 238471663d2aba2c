"""A mesh with two pairs on one DPU node, whose liveness is watched, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

from tests.helpers.objects import objects, put, remove
from tests.liveness.virtual_time import run_in_virtual_time
from xds_server.exceptions import ClusterError
from xds_server.liveness.watch import Liveness
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import DpuNode, Lease, Node
from xds_server.objects.liveness import NodeDown
from xds_server.settings import MeshSettings

P = ParamSpec("P")


def node(name: str, ready: str = "True", told: str = "") -> str:
    """``told`` is what the condition of the pair says, if there is one."""
    conditions = f"{{type: Ready, status: '{ready}'}}" if ready else ""
    conditions += f", {{type: OffMeshPairReady, status: '{told}'}}" if told else ""
    return f"{{kind: Node, metadata: {{name: {name}}}, status: {{conditions: [{conditions}]}}}}"


def lease(name: str, renewed: str, seconds: int | None = 40, label: str = "true", inside: str = "sys") -> str:
    duration = f", leaseDurationSeconds: {seconds}" if seconds is not None else ""
    return (
        f"{{kind: Lease, metadata: {{name: {name}, namespace: {inside}, "
        f"labels: {{offmesh.io/agent: '{label}'}}}}, spec: {{renewTime: '{renewed}'{duration}}}}}"
    )


class FakeLook:
    """Finds the Leases of a YAML text; while it is away, none can be read."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.is_away = False
        self.hangs = False
        self.looked_at: list[float] = []

    async def leases(self) -> Iterable[Lease]:
        self.looked_at.append(asyncio.get_running_loop().time())
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_away:
            raise ClusterError("the API server is away")
        return [item for text in self.found for _, item in objects(text) if isinstance(item, Lease)]


class WatchedPairs:
    """CPU nodes ``cpu-a`` and ``cpu-b`` and their one DPU node ``dpu``; time begins at 0."""

    def __init__(self, look: FakeLook | None = None, *, two_clusters: bool = False) -> None:
        self._began_at = asyncio.get_running_loop().time()
        self.registry = new_registry()
        self.mesh = Mesh(self.registry, MeshSettings(), two_clusters=two_clusters)
        self.liveness = Liveness(self.registry, self.mesh.placement, asyncio.get_running_loop().time, look)
        self.place("cpu-a", "dpu")
        self.place("cpu-b", "dpu")

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._began_at

    async def to(self, second: float) -> None:
        """Let time pass until just after a second."""
        await asyncio.sleep(second + 0.001 - self.now)

    @property
    def down(self) -> dict[str, str]:
        """Why which node is down, as the mesh sees it."""
        return {name: row.reason for name, row in self.registry.of(NodeDown).items()}

    def place(self, cpu: str, dpu: str, at: str = "") -> None:
        """Pair two nodes; the key of the pair, usually an address, is the CPU node's name if not given."""
        with self.registry.graph.transaction():
            self.registry.of(Pair).set(at or cpu, Pair("192.0.2.1", "192.0.2.2", cpu, dpu))

    def unplace(self, cpu: str) -> None:
        with self.registry.graph.transaction():
            self.registry.of(Pair).delete(cpu)

    def put(self, *texts: str) -> None:
        for text in texts:
            put(self.registry, text)

    def put_dpu_node(self, text: str) -> None:
        """Put a Node into the second cluster."""
        ((name, item),) = objects(text)
        assert isinstance(item, Node)
        with self.registry.graph.transaction():
            self.registry.of(DpuNode).set(name, DpuNode(metadata=item.metadata, status=item.status))

    def renew(self, number: int, seconds: int = 40) -> None:
        self.put(lease("dpu", f"renewal {number}", seconds))

    def remove_lease(self) -> None:
        remove(self.registry, Lease, "sys/dpu")


@asynccontextmanager
async def watching(pairs: WatchedPairs) -> AsyncIterator[WatchedPairs]:
    running = asyncio.create_task(pairs.liveness.run())
    try:
        await asyncio.sleep(0)
        yield pairs
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test whose hours take no time."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        run_in_virtual_time(test(*args, **kwargs))

    return run
