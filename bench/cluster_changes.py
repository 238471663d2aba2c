"""Pods that change in an API server, and when it acknowledged that."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence

from bench.changes import REVISION_MARK, Arrival, Change, latencies_ms
from bench.layout import Size, namespace_name, pod_name, service_of
from tests.helpers.cluster_client import ClusterClient

# As many connections: a change waits for a free one, and is then made later than it is due.
_AT_ONCE = 8
_MERGE_PATCH = "application/merge-patch+json"


async def change_pods(
    client: ClusterClient, size: Size, pods: int, count: int, per_second: float
) -> list[Change]:
    """
    Change one of the first ``pods`` after the other, at a steady rate unless the API server is slower.

    A change is timed when its answer has been read. Connections are kept and used again.
    """
    first, begun = time.time_ns(), time.monotonic()
    numbers, changes = iter(range(count)), []

    async def change() -> None:
        for number in numbers:
            await asyncio.sleep(begun + number / per_second - time.monotonic())
            changes.append(await _change(client, size, number % pods, first + number))

    try:
        async with asyncio.TaskGroup() as at_once:
            for _ in range(min(_AT_ONCE, count)):
                at_once.create_task(change())
    finally:
        await client.close()
    return changes


def made_per_second(changes: Sequence[Change]) -> float:
    """Return at which rate changes were acknowledged."""
    at = sorted(change.at_ns for change in changes)
    return (len(at) - 1) / (at[-1] - at[0]) * 1e9


def since_acknowledged_ms(
    changes: Iterable[Change], arrivals: Iterable[Arrival], clients: int
) -> Iterator[float]:
    """Yield how long each change took to each client; 0 when it was there before the acknowledgement."""
    in_order = sorted(changes, key=lambda change: change.revision)
    return (max(0.0, taken) for taken in latencies_ms(in_order, arrivals, clients))


async def _change(client: ClusterClient, size: Size, number: int, revision: int) -> Change:
    home, name = namespace_name(service_of(size, number)), pod_name(size, number)
    patch = {"metadata": {"labels": {"version": f"{REVISION_MARK}{revision}"}}}
    await client.request("PATCH", f"/api/v1/namespaces/{home}/pods/{name}", patch, _MERGE_PATCH)
    return Change(f"Kubernetes//Pod/{home}/{name}", revision, time.time_ns())
