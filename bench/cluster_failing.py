"""Rows in which a replica or the API server goes: what that costs clients."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import inf

from bench.cluster_changes import change_pods
from bench.cluster_mesh import resource_count
from bench.cluster_moving import MovingZtunnels
from bench.cluster_server import Cluster, running_cluster
from bench.meshes import USUAL
from bench.ztunnels import Response, Ztunnel, Ztunnels

STREAMS = 200
_SETTLE_SECONDS = 120.0
# What comes late counts, too.
_AFTERMATH_SECONDS = 3.0
_BEFORE_SECONDS = 5.0
_AFTER_SECONDS = 30.0
_TURN_SECONDS = 0.05


class Responses:
    """Counts what all clients are sent."""

    def __init__(self) -> None:
        self.count = 0
        self.resources = 0

    def receive(self, _client: Ztunnel, response: Response, _now_ns: int) -> None:
        self.count += 1
        self.resources += response.resources


def replica_killed() -> tuple[float, ...]:
    """Return the seconds until all are in sync on the other, and what they were sent and lost in vain."""
    with (
        running_cluster(USUAL) as cluster,
        cluster.serving("one") as one,
        cluster.serving("two") as two,
        MovingZtunnels((one.grpc, two.grpc)) as clients,
    ):
        clients.open(STREAMS)
        clients.run(_SETTLE_SECONDS, until=lambda: clients.in_sync_on(one.grpc))
        for course in clients.courses:
            _expect("resources of a client", len(course.held.versions), resource_count(USUAL))
        seconds = _seconds_to_move(clients, one.pid, two.grpc)
        clients.run(_AFTERMATH_SECONDS)
        resent = sum(course.resent for course in clients.courses)
        removed = sum(course.removed for course in clients.courses)
    return seconds, resent, removed


def api_server_gone(seconds: float) -> tuple[float, ...]:
    """
    Return how many streams were lost and how many responses came while the API server was gone.

    Counted from 5 s before its end until 30 s after its return.

    Raises:
        RuntimeError: the server did not follow the API server any more thereafter.

    """
    responses = Responses()
    with (
        running_cluster(USUAL) as cluster,
        cluster.serving() as server,
        Ztunnels(server.grpc, responses.receive) as clients,
    ):
        clients.open(STREAMS)
        clients.run(_SETTLE_SECONDS, until=lambda: clients.all_told)
        _expect("resources of all clients", responses.resources, STREAMS * resource_count(USUAL))
        before = responses.count
        with _driven(clients):
            _stop_for(cluster, seconds)
        lost, sent = clients.ended.total(), responses.count - before
        if not lost:
            _expect_change(cluster, clients, responses)
    return lost, sent


def _seconds_to_move(clients: MovingZtunnels, pid: int, server: str) -> float:
    """Kill the replica that clients are on; return how long it takes until all are in sync on this one."""
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    clients.run(_SETTLE_SECONDS, until=lambda: clients.in_sync_on(server))
    return time.monotonic() - begun if clients.in_sync_on(server) else inf


def _stop_for(cluster: Cluster, seconds: float) -> None:
    time.sleep(_BEFORE_SECONDS)
    cluster.stop_api_server()
    time.sleep(seconds)
    cluster.start_api_server()
    time.sleep(_AFTER_SECONDS)


@contextmanager
def _driven(clients: Ztunnels) -> Iterator[None]:
    """Let clients read and confirm until the block ends."""
    stop = threading.Event()

    def drive() -> None:
        while not stop.is_set():
            clients.run(_TURN_SECONDS)

    with ThreadPoolExecutor(1) as thread:
        driving = thread.submit(drive)
        try:
            yield
        finally:
            stop.set()
            driving.result()


def _expect_change(cluster: Cluster, clients: Ztunnels, responses: Responses) -> None:
    """Change one pod; without that, a server that watches no longer would be the quietest."""
    expected = responses.count + STREAMS
    asyncio.run(change_pods(cluster.api, cluster.size, pods=1, count=1, per_second=1))
    clients.run(_SETTLE_SECONDS, until=lambda: responses.count >= expected)
    _expect("responses after a change", responses.count, expected)


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise RuntimeError(f"{what}: {found}, expected {expected}")
