"""Rows in which a server starts from an API server."""

from bench.clients import OneClient
from bench.cluster_mesh import resource_count
from bench.cluster_server import running_cluster
from bench.layout import Size
from bench.meshes import LARGE, USUAL


def usual() -> tuple[float, ...]:
    """Return the time from the command to ready, in seconds."""
    return _start(USUAL)[:1]


def large() -> tuple[float, ...]:
    """Return the same, the processor time until then, in seconds, and what is resident then, in MB."""
    return _start(LARGE)


def _start(size: Size) -> tuple[float, ...]:
    with running_cluster(size) as cluster, cluster.serving() as server:
        measured = server.start_seconds, server.cpu_seconds, server.resident_mb
        sent = OneClient(server.grpc).synchronize()
    if sent != resource_count(size):
        raise RuntimeError(f"ready with {sent} resources, expected {resource_count(size)}")
    return measured
