"""
How nodes and pods are wired, as lines of ``ip -batch``: what a cluster has before there is a mesh.

Pods are wired as by the CNI plugin ptp: a veth for each, the node's gateway address at its host's end.
"""

import subprocess
from collections.abc import Iterable, Iterator

from tests.helpers.lab.topology import LAN, OUTSIDE, OUTSIDE_ALIAS, UPLINK, Node, Pod, Topology
from xds_server.datapath.inputs import Role

SWITCH, OUTSIDE_HOST = "lan", "ext"


def namespaces_of(topology: Topology) -> tuple[str, ...]:
    nodes, pods = (node.name for node in topology.nodes), (pod.name for pod in topology.pods)
    return (SWITCH, OUTSIDE_HOST, *nodes, *pods)


def cables(topology: Topology, prefix: str) -> Iterator[str]:
    """Lines for the namespace all are made from; ends are laid into the namespaces of ``prefix``."""
    for host in (*(node.name for node in topology.nodes), OUTSIDE_HOST):
        yield _cable(f"{UPLINK} netns {prefix}{host}", f"s-{host} netns {prefix}{SWITCH}")
    for pod in topology.pods:
        yield _cable(f"eth0 netns {prefix}{pod.name}", f"{pod.device} netns {prefix}{pod.node}")


def lay(cables: Iterable[str]) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join((*cables, "")), text=True, check=True)


def switch(topology: Topology) -> Iterator[str]:
    # A bridge that snoops tells others so, in packets that would be counted.
    yield "link add br0 type bridge mcast_snooping 0"
    yield "link set br0 up"
    for host in (*(node.name for node in topology.nodes), OUTSIDE_HOST):
        yield f"link set s-{host} master br0 up"


def outside() -> Iterator[str]:
    yield "link set lo up"
    yield f"address add {OUTSIDE}/{LAN.prefixlen} dev {UPLINK}"
    yield f"address add {OUTSIDE_ALIAS}/32 dev lo"
    yield f"link set {UPLINK} up"


def node(topology: Topology, node: Node) -> Iterator[str]:
    yield "link set lo up"
    yield f"address add {node.address}/{LAN.prefixlen} dev {UPLINK}"
    yield f"link set {UPLINK} up"
    yield f"route add default via {OUTSIDE}"
    for pod in topology.pods_of(node.name):
        yield f"address add {node.gateway}/32 dev {pod.device}"
        yield f"link set {pod.device} up"
        yield f"route add {pod.address} dev {pod.device} scope host"


def pod(topology: Topology, pod: Pod) -> Iterator[str]:
    node = topology.node(pod.node)
    yield "link set lo up"
    yield f"address add {pod.address}/{node.pods.prefixlen} dev eth0 noprefixroute"
    yield "link set eth0 up"
    yield f"route add {node.gateway} dev eth0 scope link src {pod.address}"
    yield f"route add {node.pods} via {node.gateway} src {pod.address}"
    yield f"route add default via {node.gateway}"


def pod_routes(topology: Topology, node: Node) -> Iterator[str]:
    """Routes to the pods of the other nodes, as kindnet makes them."""
    for other in topology.nodes:
        if other != node:
            yield f"route add {other.pods} via {topology.node(_next_hop(node, other)).address}"


def _next_hop(node: Node, other: Node) -> str:
    if node.role is Role.CPU:
        return node.peer
    if other.role is Role.CPU and other.peer != node.name:
        return other.peer
    return other.name


def _cable(one_end: str, other_end: str) -> str:
    return f"link add {one_end} type veth peer name {other_end}"
