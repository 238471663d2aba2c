"""What only one replica does, joined to what it is told of."""

from typing import NamedTuple

from xds_server.app.inputs import Inputs
from xds_server.identity.parts import IdentityParts
from xds_server.identity.spiffe import namespaces_of
from xds_server.leadership.duties import Duty
from xds_server.leadership.election import Election
from xds_server.leadership.root_config_maps import RootConfigMaps
from xds_server.liveness.reports import PairReports
from xds_server.liveness.watch import Liveness
from xds_server.objects.kubernetes import Namespace, ObjectMeta
from xds_server.settings import ServeSettings
from xds_server.store.registry import Registry


class Told(NamedTuple):
    """What duties hear from."""

    registry: Registry
    identity: IdentityParts | None
    liveness: Liveness | None


def candidate(settings: ServeSettings, inputs: Inputs, told: Told) -> Election | None:
    """Return this replica's candidacy; None where there is no cluster to write to."""
    cluster, connection = settings.cluster, inputs.connection
    if cluster is None or connection is None or inputs.watches is None:
        return None
    duties: list[Duty] = []
    if cluster.root_config_maps and told.identity is not None:
        duties.append(_root_config_maps(RootConfigMaps(connection), told.registry, told.identity))
        if inputs.dpu_connection is not None:
            there = RootConfigMaps(inputs.dpu_connection)
            duties.append(_root_config_maps_of_nodes(there, settings, told.identity))
    if cluster.pair_reports and told.liveness is not None:
        duties.append(PairReports(connection, told.liveness))
    return Election(connection, (cluster.namespace, cluster.leader_lease), cluster.replica, duties)


def _root_config_maps(duty: RootConfigMaps, registry: Registry, identity: IdentityParts) -> RootConfigMaps:
    namespaces, authority = registry.of(Namespace), identity.authority
    registry.graph.listen(namespaces, lambda _changes: duty.receive_namespaces(namespaces.rows.values()))
    authority.listen(lambda: duty.receive_bundle(authority.trust_bundle))
    return duty


def _root_config_maps_of_nodes(
    duty: RootConfigMaps, settings: ServeSettings, identity: IdentityParts
) -> RootConfigMaps:
    """Keep the roots where ztunnels and agents are in the cluster of DPU nodes: nobody else there is ours."""
    accounts = settings.identity.trusted_node_accounts | settings.identity.agent_accounts
    names = sorted(namespaces_of(accounts))
    duty.receive_namespaces(Namespace(metadata=ObjectMeta(name=name)) for name in names)
    identity.authority.listen(lambda: duty.receive_bundle(identity.authority.trust_bundle))
    return duty
