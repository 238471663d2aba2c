"""The liveness of pairs, by the settings: whose clock it goes by, and how Leases are looked at."""

import asyncio

from xds_server.app.inputs import Inputs
from xds_server.liveness.leases import AgentLeases
from xds_server.liveness.watch import Liveness
from xds_server.mesh.graph import Mesh
from xds_server.objects.liveness import NodeDown
from xds_server.settings import ServeSettings
from xds_server.store.registry import Registry


def watched_pairs(settings: ServeSettings, inputs: Inputs, registry: Registry, mesh: Mesh) -> Liveness | None:
    """Return what judges pairs; None where nothing tells of agents, or nothing would follow."""
    cluster, connection = settings.cluster, inputs.dpu_connection or inputs.connection
    if cluster is None or connection is None or inputs.watches is None:
        registry.of(NodeDown).synced = True
        return None
    clock = asyncio.get_running_loop().time
    look = AgentLeases(connection, cluster.lease_namespace)
    return Liveness(registry, mesh.placement, clock, look)
