"""Rows in which pods change in an API server: how soon clients know."""

import asyncio
import time

from bench.changes import Change
from bench.clients import held_clients
from bench.cluster_changes import change_pods, made_per_second, since_acknowledged_ms
from bench.cluster_mesh import resource_count
from bench.cluster_server import Cluster, running_cluster
from bench.figures import percentile
from bench.mesh import CHANGING_PODS
from bench.meshes import USUAL

STREAMS = 200
# The first changes after a start pay for what is only then imported and cached.
_WARM_UP_CHANGES = 20
_ARRIVE_SECONDS = 2.0


def two_a_second() -> tuple[float, ...]:
    return _acknowledged_to_client(seconds=15, per_second=2)


def hundred_a_second() -> tuple[float, ...]:
    return _acknowledged_to_client(seconds=5, per_second=100)


def _acknowledged_to_client(seconds: int, per_second: int) -> tuple[float, ...]:
    """Return p50 and p99 of all changes to all clients, in ms, and how many were made a second."""
    with (
        running_cluster(USUAL) as cluster,
        cluster.serving() as server,
        held_clients(server.grpc, STREAMS, cluster.folder) as clients,
    ):
        held, expected = clients.summary["resources"], STREAMS * resource_count(USUAL)
        if held != expected:
            raise RuntimeError(f"{STREAMS} clients hold {held} resources, expected {expected}")
        _make_changes(cluster, _WARM_UP_CHANGES, per_second=20)
        changes = _make_changes(cluster, seconds * per_second, per_second)
        taken = list(since_acknowledged_ms(changes, clients.stop(), STREAMS))
    return percentile(taken, 0.50), percentile(taken, 0.99), made_per_second(changes)


def _make_changes(cluster: Cluster, count: int, per_second: float) -> list[Change]:
    """Change pods, and leave clients the time to be told."""
    changes = asyncio.run(change_pods(cluster.api, cluster.size, CHANGING_PODS, count, per_second))
    time.sleep(_ARRIVE_SECONDS)
    return changes
