"""What an operator is told of placement: who is paired with whom, and what does not agree."""

import msgspec

from xds_server.mesh.placement import NODE_TYPE_LABEL, NodeIdentity, PlacedPair, Placement
from xds_server.objects.cluster_conf import Single


class PlacedSingle(msgspec.Struct, frozen=True):
    """A node without a DPU, with its name resolved."""

    node_ip: str
    node: str


class PlacementReport(msgspec.Struct, frozen=True):
    """
    The map in force as it meets the cluster's nodes.

    ``conflicts`` are sentences: two pairs that mean one CPU node, names and Nodes that disagree,
    node labels that disagree with the map. ``unresolved`` are addresses whose node has no known
    name: their workloads stay with their own node. ``unmapped`` are nodes in no role.
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
    roles = _roles(pairs, singles)
    nodes = [row for _, row in sorted(placement.nodes.items())]
    conflicts = [*_shared_cpu_nodes(pairs), *_renamed(placement, pairs, singles), *_two_roles(roles)]
    conflicts += [text for node in nodes if (text := _label_conflict(node, roles.get(node.name, set())))]
    return PlacementReport(
        pairs=pairs,
        singles=singles,
        conflicts=tuple(conflicts),
        unresolved=tuple(sorted(ip for ip, name in _named(pairs, singles) if not name)),
        unmapped=tuple(node.name for node in nodes if node.name not in roles),
    )


def _placed_single(placement: Placement, single: Single) -> PlacedSingle:
    return PlacedSingle(single.node_ip, single.node_name or _node_at(placement, single.node_ip))


def _node_at(placement: Placement, ip: str) -> str:
    nodes = placement.nodes_by_ip.rows(ip)
    return nodes[0].name if nodes else ""


def _named(pairs: tuple[PlacedPair, ...], singles: tuple[PlacedSingle, ...]) -> list[tuple[str, str]]:
    named = [(pair.cpu_node_ip, pair.cpu_node) for pair in pairs]
    named += sorted({(pair.dpu_node_ip, pair.dpu_node) for pair in pairs})
    return named + [(single.node_ip, single.node) for single in singles]


def _roles(pairs: tuple[PlacedPair, ...], singles: tuple[PlacedSingle, ...]) -> dict[str, set[str]]:
    roles: dict[str, set[str]] = {}
    for pair in pairs:
        roles.setdefault(pair.cpu_node, set()).add("cpu")
        roles.setdefault(pair.dpu_node, set()).add("dpu")
    for single in singles:
        roles.setdefault(single.node, set()).add("single")
    roles.pop("", None)
    return roles


def _two_roles(roles: dict[str, set[str]]) -> list[str]:
    return [
        f"node {node} is in more than one role: {', '.join(sorted(held))}"
        for node, held in sorted(roles.items())
        if len(held) > 1
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
    return [
        f"the map calls the node at {ip} {name}, its Node object {actual}: the map's name is in force"
        for ip, name in _named(pairs, singles)
        if name and (actual := _node_at(placement, ip)) and actual != name
    ]


def _label_conflict(node: NodeIdentity, roles: set[str]) -> str:
    """Return what is wrong between a node's label and the map, or nothing."""
    label = node.node_type
    if not label:
        return ""
    if label not in {"cpu", "dpu"}:
        return f"node {node.name} has label {NODE_TYPE_LABEL}={label}: expected cpu or dpu"
    if label in roles:
        return ""
    role = ", ".join(sorted(roles)) or "in no role"
    return f"node {node.name} has label {NODE_TYPE_LABEL}={label}, in the map it is {role}"
