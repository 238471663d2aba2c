"""Rows in which pods change: how soon clients know, and what a change costs."""

import time
from collections.abc import Sequence
from pathlib import Path

from bench.changes import Changing, latencies_ms, make_changes
from bench.clients import held_clients
from bench.figures import percentile
from bench.meshes import GOVERNED, LARGE, TINY, USUAL, Meshes
from bench.server import Server, serving

STREAMS = 200
# The first changes after a start pay for what is only then imported and cached.
WARM_UP_CHANGES = 20
_ARRIVE_SECONDS = 2.0


def two_a_second(meshes: Meshes) -> tuple[float, ...]:
    return _change_to_client(meshes, count=40, per_second=2)


def hundred_a_second(meshes: Meshes) -> tuple[float, ...]:
    return _change_to_client(meshes, count=500, per_second=100)


def _change_to_client(meshes: Meshes, count: int, per_second: float) -> tuple[float, ...]:
    return _latencies(meshes.of(USUAL), meshes.changing_pods(USUAL), count, per_second)


def two_a_second_where_governed(meshes: Meshes) -> tuple[float, ...]:
    folder, pods = meshes.of(GOVERNED, governed=True), meshes.changing_pods(GOVERNED, governed=True)
    return _latencies(folder, pods, count=40, per_second=2)


def _latencies(folder: Path, pods: Sequence[Changing], count: int, per_second: float) -> tuple[float, ...]:
    """Return p50 and p99 of all changes to all clients, in milliseconds."""
    with serving(folder) as server, held_clients(server.grpc, STREAMS, folder) as clients:
        make_changes(pods, WARM_UP_CHANGES, per_second=20)
        time.sleep(_ARRIVE_SECONDS)
        changes = make_changes(pods, count, per_second)
        time.sleep(_ARRIVE_SECONDS)
        taken = latencies_ms(changes, clients.stop(), STREAMS)
    return percentile(taken, 0.50), percentile(taken, 0.99)


def cost_by_size(meshes: Meshes) -> tuple[float, ...]:
    """Return the cost of a change in a large mesh in multiples of that in a tiny one, and the latter."""
    tiny, large = (_cost_ms(meshes.of(size), meshes.changing_pods(size)) for size in (TINY, LARGE))
    return large / tiny, tiny


def cost_where_governed(meshes: Meshes) -> tuple[float, ...]:
    """Return the cost of a change of one policy, and of one pod, in milliseconds."""
    folder = meshes.of(GOVERNED, governed=True)
    pods = meshes.changing_pods(GOVERNED, governed=True)
    return _cost_ms(folder, meshes.changing_policies(GOVERNED)), _cost_ms(folder, pods)


def _cost_ms(folder: Path, changing: Sequence[Changing]) -> float:
    """Return the server's processor time for one change that comes alone, in milliseconds."""
    count, per_second = 1_000, 200.0
    with serving(folder) as server:
        make_changes(changing, WARM_UP_CHANGES, per_second)
        time.sleep(_ARRIVE_SECONDS)
        before = server.cpu_seconds
        make_changes(changing, count, per_second)
        busy = server.cpu_seconds - before
        idle = _idle_share(server) * count / per_second
    return (busy - idle) / count * 1e3


def _idle_share(server: Server) -> float:
    """Return the processor time that the server takes while nothing happens, in seconds a second."""
    time.sleep(_ARRIVE_SECONDS)
    before = server.cpu_seconds
    time.sleep(_ARRIVE_SECONDS)
    return (server.cpu_seconds - before) / _ARRIVE_SECONDS
