"""
Which nodes and pods there are, and who is whose pair.

              LAN 192.168.50.0/24
    ┌─────────┬─────────┬─────────┬─────────┬─────────┐
   cpu1      dpu1      cpu2      dpu2      one       ext ── 203.0.113.10
   p1a p1b   zt1       p2a       zt2       zt3
   p1n p1m   d1a d1n   p2n                 p3a p3b p3n

Pods whose name ends in a or b are meshed; zt are ztunnels. ``one`` is a node without a DPU, ``ext`` a
host outside that every node has its default route by.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from xds_server.datapath.inputs import Role

UPLINK = "ens32"
POD_CIDR = IPv4Network("10.244.0.0/16")
LAN = IPv4Network("192.168.50.0/24")
OUTSIDE = IPv4Address("192.168.50.2")
OUTSIDE_ALIAS = IPv4Address("203.0.113.10")
ECHO_TCP, ECHO_UDP, DNS = 8080, 8081, 53
TUNNEL_PORT = 6081


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    name: str
    node: str
    address: IPv4Address
    meshed: bool = False

    @property
    def device(self) -> str:
        """The host's end of its veth."""
        return f"veth{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    name: str
    role: Role
    address: IPv4Address
    pods: IPv4Network
    peer: str = ""
    ztunnel: str = ""
    """The pod that serves this node's meshed pods."""

    @property
    def gateway(self) -> IPv4Address:
        return self.pods.network_address + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A virtual address; by ``node_port`` it is at every node's own address too."""

    address: IPv4Address
    port: int
    backend: str
    target: int
    protocols: tuple[str, ...] = ("tcp",)
    node_port: int = 0
    keeps_source: bool = False
    """Whether the backend sees who came by the node port (``externalTrafficPolicy: Local``)."""


@dataclass(frozen=True, slots=True)
class Topology:
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    services: tuple[Service, ...]

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def pod(self, name: str) -> Pod:
        return next(pod for pod in self.pods if pod.name == name)

    def with_pod_at(self, name: str, address: str) -> "Topology":
        """Return the same with a pod at another address."""
        moved = replace(self.pod(name), address=IPv4Address(address))
        return replace(self, pods=tuple(moved if pod.name == name else pod for pod in self.pods))

    def pods_of(self, node: str) -> tuple[Pod, ...]:
        return tuple(pod for pod in self.pods if pod.node == node)

    def pods_served(self, ztunnel: str) -> tuple[Pod, ...]:
        """Return the pods that a ztunnel serves as far as they are meshed."""
        served = {node.name for node in self.nodes if node.ztunnel == ztunnel}
        return tuple(pod for pod in self.pods if pod.node in served)


def _node(name: str, role: Role, address: str, number: int, pair: str) -> Node:
    """``pair``: the other node of it and its ztunnel, or the ztunnel alone."""
    *peer, ztunnel = pair.split()
    return Node(
        name=name,
        role=role,
        address=IPv4Address(address),
        pods=IPv4Network(f"10.244.{number}.0/24"),
        peer="".join(peer),
        ztunnel=ztunnel,
    )


def _pod(name: str, node: str, address: str) -> Pod:
    return Pod(name=name, node=node, address=IPv4Address(address), meshed=name[-1] in "ab")


TOPOLOGY = Topology(
    nodes=(
        _node("cpu1", Role.CPU, "192.168.50.130", 0, "dpu1 zt1"),
        _node("dpu1", Role.DPU, "192.168.50.131", 1, "cpu1 zt1"),
        _node("cpu2", Role.CPU, "192.168.50.133", 3, "dpu2 zt2"),
        _node("dpu2", Role.DPU, "192.168.50.128", 2, "cpu2 zt2"),
        _node("one", Role.SINGLE, "192.168.50.140", 4, "zt3"),
    ),
    pods=(
        _pod("p1a", "cpu1", "10.244.0.2"),
        _pod("p1b", "cpu1", "10.244.0.7"),
        _pod("p1n", "cpu1", "10.244.0.9"),
        _pod("p1m", "cpu1", "10.244.0.10"),
        _pod("zt1", "dpu1", "10.244.1.2"),
        _pod("d1a", "dpu1", "10.244.1.7"),
        _pod("d1n", "dpu1", "10.244.1.9"),
        _pod("zt2", "dpu2", "10.244.2.2"),
        _pod("p2a", "cpu2", "10.244.3.2"),
        _pod("p2n", "cpu2", "10.244.3.9"),
        _pod("zt3", "one", "10.244.4.2"),
        _pod("p3a", "one", "10.244.4.3"),
        _pod("p3b", "one", "10.244.4.7"),
        _pod("p3n", "one", "10.244.4.9"),
    ),
    services=(
        Service(address=IPv4Address("10.96.0.80"), port=80, backend="p2a", target=ECHO_TCP),
        Service(address=IPv4Address("10.96.0.81"), port=80, backend="p1b", target=ECHO_TCP, node_port=30081),
        Service(
            address=IPv4Address("10.96.0.82"),
            port=80,
            backend="p1b",
            target=ECHO_TCP,
            node_port=30082,
            keeps_source=True,
        ),
        Service(address=IPv4Address("10.96.0.83"), port=80, backend="p3a", target=ECHO_TCP, node_port=30083),
        Service(
            address=IPv4Address("10.96.0.10"), port=DNS, backend="p2n", target=DNS, protocols=("udp", "tcp")
        ),
    ),
)
