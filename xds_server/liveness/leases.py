"""The Leases that agents on DPU nodes renew: which ones they are, and reading them past the watch."""

import random
from collections.abc import Iterable
from typing import Protocol

from xds_server.cluster.connection import ApiConnection
from xds_server.objects.kubernetes import Lease
from xds_server.sources.kubernetes.kinds import AGENT_LABEL, agent_leases
from xds_server.sources.kubernetes.reading import Reading, ReadTiming

DEFAULT_SECONDS = 40.0
"""Of a Lease that names no duration."""


class Look(Protocol):
    """A way to see what the Leases are now, whatever a watch has told so far."""

    async def leases(self) -> Iterable[Lease]:
        """
        Return all of them.

        Raises:
            ClusterError: they cannot be read.

        """


class AgentLeases:
    """The Leases of one namespace, read from the API server's store and from no cache of it."""

    def __init__(self, connection: ApiConnection, namespace: str) -> None:
        self._reading = Reading(connection, agent_leases(namespace), ReadTiming(), random.random)

    async def leases(self) -> list[Lease]:
        batches = [batch async for batch in self._reading.pages()]
        return [row.item for batch in batches for row in batch.rows if isinstance(row.item, Lease)]


def node_of(lease: Lease) -> tuple[str, ...]:
    """Return the node whose agent renews a Lease: its name; nothing when it is no agent's."""
    return (lease.name,) if lease.labels.get(AGENT_LABEL) == "true" else ()


def seconds_of(lease: Lease) -> float:
    """Return how long a renewal holds; the API server takes no duration under a second, a manifest may."""
    stated = lease.spec.lease_duration_seconds
    return DEFAULT_SECONDS if stated is None else max(1.0, float(stated))
