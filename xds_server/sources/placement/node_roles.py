"""That each node of the placement map is one node: in one role, at one address, of one name."""

from collections.abc import Iterator
from typing import NamedTuple

from xds_server.objects.cluster_conf import Pair, Single


class Role(NamedTuple):
    """What a node may be, and the keys that tell of it."""

    words: str
    ip_key: str
    name_key: str


CPU = Role("a CPU node", "cpuNodeIP", "cpuNodeName")
DPU = Role("a DPU node", "dpuNodeIP", "dpuNodeName")
SINGLE = Role("a single node", "nodeIP", "nodeName")


class Node(NamedTuple):
    role: Role
    ip: str
    name: str | None


_ANOTHER_NODE = "another node than the CPU node"

Row = Pair | Single
Contradiction = tuple[str, str]
"""A key, and what was expected of it."""


class NodeRoles:
    """The nodes told of so far, each with the row that told of it first. An empty address is not known."""

    def __init__(self) -> None:
        self._by_ip: dict[str, Row] = {}
        self._by_name: dict[str, Row] = {}

    def agrees(self, pair: Pair) -> bool:
        """Take in a pair of the usual kind; False if only its ``contradictions`` can tell."""
        cpu_ip, cpu, dpu = pair.cpu_node_ip, pair.cpu_node_name, pair.dpu_node_name
        first_at, first_named = self._by_ip.setdefault, self._by_name.setdefault
        return (
            cpu_ip != ""
            and pair.dpu_node_ip not in ("", cpu_ip)
            and (cpu is None or cpu != dpu)
            and first_at(cpu_ip, pair) is pair
            and ((first := first_at(pair.dpu_node_ip, pair)) is pair or _is_same_dpu(first, pair))
            and (cpu is None or first_named(cpu, pair) is pair)
            and (dpu is None or first_named(dpu, pair) in (pair, first))
        )

    def contradictions(self, row: Row) -> Iterator[Contradiction]:
        """Take in any row: yield what in it does not agree with itself or with an earlier row."""
        nodes = [node for node in _nodes(row) if node.ip]
        if len(nodes) > 1 and nodes[0].ip == nodes[1].ip:
            yield DPU.ip_key, _ANOTHER_NODE
            nodes.pop()
        elif len(nodes) > 1 and nodes[0].name is not None and nodes[0].name == nodes[1].name:
            yield DPU.name_key, _ANOTHER_NODE
            nodes.pop()
        for node in nodes:
            contradiction = self._at_address(node, row) or self._under_name(node, row)
            if contradiction:
                yield contradiction

    def _at_address(self, node: Node, row: Row) -> Contradiction | None:
        first = self._by_ip.setdefault(node.ip, row)
        if first is row:
            return None
        role = node.role
        held = next(held for held in _nodes(first) if held.ip == node.ip)
        if held.role is not role:
            return role.ip_key, f"one role for each node, line {first.line} makes it {held.role.words}"
        if role is not DPU:
            return role.ip_key, _once(first, row)
        if held.name is None:
            self._by_ip[node.ip] = row
        elif node.name is not None and node.name != held.name:
            return role.name_key, f"one name for each address, line {first.line} has {held.name}"
        return None

    def _under_name(self, node: Node, row: Row) -> Contradiction | None:
        if node.name is None:
            return None
        first = self._by_name.setdefault(node.name, row)
        held = next(held for held in _nodes(first) if held.name == node.name)
        if held.ip == node.ip:
            return None
        if held.role is not node.role:
            expected = f"one role for each node, line {first.line} makes it {held.role.words}"
        else:
            expected = f"one address for each name, line {first.line} has {held.ip}"
        return node.role.name_key, expected


def _nodes(row: Row) -> tuple[Node, ...]:
    if isinstance(row, Single):
        return (Node(SINGLE, row.node_ip, row.node_name),)
    return Node(CPU, row.cpu_node_ip, row.cpu_node_name), Node(DPU, row.dpu_node_ip, row.dpu_node_name)


def _is_same_dpu(first: Row, pair: Pair) -> bool:
    return (
        isinstance(first, Pair)
        and first.dpu_node_ip == pair.dpu_node_ip
        and first.dpu_node_name == pair.dpu_node_name
    )


def _once(first: Row, row: Row) -> str:
    """Say why a CPU node or a single node is not told of again."""
    if isinstance(first, Single) or isinstance(row, Single):
        return f"each node once, line {first.line} has it"
    if not first.dpu_node_ip or not row.dpu_node_ip:
        return f"each CPU node once, line {first.line} has it"
    if first.dpu_node_ip == row.dpu_node_ip:
        return f"each pair once, line {first.line} has it"
    return f"one DPU for each CPU node, line {first.line} has {first.dpu_node_ip}"
