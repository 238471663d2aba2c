"""What an operator is told of placement: who is paired with whom, and what does not agree."""

from typing import NamedTuple

import msgspec

from xds_server.mesh.placement import (
    DPU_CLUSTER,
    NODE_TYPE_LABEL,
    NodeIdentity,
    PlacedPair,
    Placement,
    name_in,
)
from xds_server.objects.cluster_conf import Single
from xds_server.store.collection import Index

Roles = dict[str, set[str]]


class PlacedSingle(msgspec.Struct, frozen=True):
    """A node without a DPU, with its name resolved."""

    node_ip: str
    node: str


class PlacementReport(msgspec.Struct, frozen=True):
    """
    The map in force as it meets the nodes of the cluster, or of both.

    ``conflicts`` are sentences: two pairs that mean one CPU node, names and Nodes that disagree,
    node labels that disagree with the map, a pair in two zones, one name for two serving nodes.
    ``unresolved`` are addresses whose node has no known name: their workloads stay with their own
    node. ``unmapped`` are nodes in no role.
    """

    pairs: tuple[PlacedPair, ...]
    singles: tuple[PlacedSingle, ...]
    conflicts: tuple[str, ...]
    unresolved: tuple[str, ...]
    unmapped: tuple[str, ...]


def placement_report(placement: Placement) -> PlacementReport:
    """Report on the whole map; costs its size, for operators' questions only."""
    pairs = tuple(row for _, row in sorted(placement.placed.items()))
    singles = tuple(_placed_single(placement, row) for _, row in sorted(placement.singles.items()))
    clusters = _clusters(placement, pairs, singles)
    conflicts = [*_shared_cpu_nodes(pairs), *_renamed(placement, pairs, singles)]
    conflicts += _two_zones(placement, pairs)
    for cluster in clusters:
        conflicts += [*_two_roles(cluster), *_label_conflicts(cluster)]
    conflicts += _namesakes(placement, clusters)
    named = [*_host_side(pairs, singles), *_dpu_side(pairs)]
    return PlacementReport(
        pairs=pairs,
        singles=singles,
        conflicts=tuple(conflicts),
        unresolved=tuple(sorted(ip for ip, name in named if not name)),
        unmapped=tuple(text for cluster in clusters for text in _unmapped(cluster)),
    )


class _Cluster(NamedTuple):
    """The nodes of a cluster, and the roles the map gives to names there."""

    name: str
    nodes: list[NodeIdentity]
    roles: Roles


def _clusters(
    placement: Placement, pairs: tuple[PlacedPair, ...], singles: tuple[PlacedSingle, ...]
) -> list[_Cluster]:
    nodes = [row for _, row in sorted(placement.nodes.items())]
    cpu, dpu = {pair.cpu_node for pair in pairs}, {pair.dpu_node for pair in pairs}
    single = {row.node for row in singles}
    if not placement.two_clusters:
        return [_Cluster("", nodes, _roles(cpu=cpu, dpu=dpu, single=single))]
    dpu_nodes = [row for _, row in sorted(placement.dpu_nodes.items())]
    return [
        _Cluster("", nodes, _roles(cpu=cpu, single=single)),
        _Cluster(DPU_CLUSTER, dpu_nodes, _roles(dpu=dpu)),
    ]


def _placed_single(placement: Placement, single: Single) -> PlacedSingle:
    name = single.node_name or _name_at(placement.nodes_by_ip, single.node_ip)
    return PlacedSingle(single.node_ip, name)


def _name_at(by_ip: Index[NodeIdentity], ip: str) -> str:
    nodes = by_ip.rows(ip)
    return nodes[0].name if nodes else ""


def _host_side(pairs: tuple[PlacedPair, ...], singles: tuple[PlacedSingle, ...]) -> list[tuple[str, str]]:
    """Return addresses and names of CPU nodes and single nodes."""
    named = [(pair.cpu_node_ip, pair.cpu_node) for pair in pairs]
    return named + [(single.node_ip, single.node) for single in singles]


def _dpu_side(pairs: tuple[PlacedPair, ...]) -> list[tuple[str, str]]:
    return sorted({(pair.dpu_node_ip, pair.dpu_node) for pair in pairs})


def _roles(**names: set[str]) -> Roles:
    """Return the roles of each name; what has none yet is in no role."""
    roles: Roles = {}
    for role, held in names.items():
        for name in held - {""}:
            roles.setdefault(name, set()).add(role)
    return roles


def _unmapped(cluster: _Cluster) -> list[str]:
    return [name_in(cluster.name, node.name) for node in cluster.nodes if node.name not in cluster.roles]


def _two_roles(cluster: _Cluster) -> list[str]:
    return [
        f"node {node} is in more than one role: {', '.join(sorted(held))}"
        for node, held in sorted(cluster.roles.items())
        if len(held) > 1
    ]


def _namesakes(placement: Placement, clusters: list[_Cluster]) -> list[str]:
    """Clients know a serving node by its name alone."""
    if not placement.two_clusters:
        return []
    host, dpu = clusters
    names = {node.name for node in host.nodes} | host.roles.keys()
    in_force = {name: placement.placed_by_cpu.rows(name)[:1] for name in names}
    serving = {name for name, pairs in in_force.items() if not any(pair.dpu_node for pair in pairs)}
    return [
        f"node {name} and the DPU node {name} of the other cluster serve under one name: "
        f"each takes the other's workloads for its own"
        for name in sorted(serving & dpu.roles.keys())
    ]


def _shared_cpu_nodes(pairs: tuple[PlacedPair, ...]) -> list[str]:
    by_cpu: dict[str, list[PlacedPair]] = {}
    for pair in pairs:
        by_cpu.setdefault(pair.cpu_node, []).append(pair)
    return [
        f"CPU node {node} is in {len(held)} pairs ({', '.join(pair.cpu_node_ip for pair in held)}): "
        f"the one at {held[0].cpu_node_ip} is in force"
        for node, held in by_cpu.items()
        if node and len(held) > 1
    ]


def _renamed(
    placement: Placement, pairs: tuple[PlacedPair, ...], singles: tuple[PlacedSingle, ...]
) -> list[str]:
    sides = (_host_side(pairs, singles), placement.nodes_by_ip), (_dpu_side(pairs), placement.dpu_nodes_by_ip)
    return [
        f"the map calls the node at {ip} {name}, its Node object {actual}: the map's name is in force"
        for named, by_ip in sides
        for ip, name in named
        if name and (actual := _name_at(by_ip, ip)) and actual != name
    ]


def _two_zones(placement: Placement, pairs: tuple[PlacedPair, ...]) -> list[str]:
    """Clients balance by the zone of a workload, which is that of its CPU node."""
    conflicts = []
    for pair in pairs:
        cpu, dpu = placement.nodes.get(pair.cpu_node), placement.dpu_nodes.get(pair.dpu_node)
        if cpu is not None and dpu is not None and cpu.zone and dpu.zone and cpu.zone != dpu.zone:
            conflicts.append(
                f"CPU node {cpu.name} is in zone {cpu.zone}, its DPU node {dpu.name} in {dpu.zone}: "
                f"its workloads are told to be in {cpu.zone}"
            )
    return conflicts


def _label_conflicts(cluster: _Cluster) -> list[str]:
    """Tell what is wrong between nodes' labels and the map."""
    conflicts = []
    for node in cluster.nodes:
        roles, label = cluster.roles.get(node.name, set()), node.node_type
        told = f"node {name_in(cluster.name, node.name)} has label {NODE_TYPE_LABEL}={label}"
        if label and label not in {"cpu", "dpu"}:
            conflicts.append(f"{told}: expected cpu or dpu")
        elif label and label not in roles:
            conflicts.append(f"{told}, in the map it is {', '.join(sorted(roles)) or 'in no role'}")
    return conflicts
