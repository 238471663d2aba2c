"""A pair of nodes in network namespaces, with as many meshed pods as asked for, each with a veth."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.lab import wiring
from tests.helpers.lab.manifests import Manifests
from tests.helpers.lab.namespaces import Namespace, forget_the_dead, namespaces
from tests.helpers.lab.topology import TOPOLOGY, UPLINK, Pod, Topology
from tests.helpers.lab.wanted import NAMES, Wanted

CPU, DPU, ZTUNNEL = "cpu1", "dpu1", "zt1"
_PREFIX = "ombench"
_HOUR = 3600
_FIRST_PORT = 20_000
_FAR_ENDS = "pods"
"""Where the pods' ends of their veths are: nothing of a pod is needed but its device on the node."""


@dataclass(frozen=True, slots=True)
class DatapathLab:
    """``inside`` has the namespaces of nodes by their names; ``folder`` is for what belongs to the lab."""

    inside: dict[str, Namespace]
    topology: Topology
    folder: Path

    @property
    def pods(self) -> tuple[Pod, ...]:
        """Those that are meshed."""
        return self.topology.pods_of(CPU)

    @property
    def wanted(self) -> Wanted:
        """What the nodes shall hold."""
        meshed = frozenset(pod.name for pod in self.pods)
        return Wanted(topology=self.topology, meshed=meshed, ztunnels=frozenset({ZTUNNEL}), pod_routes=True)

    @property
    def set_name(self) -> str:
        return NAMES.pods_set

    def manifests(self) -> Manifests:
        """Write the mesh: a folder and a map as a server is given them."""
        return Manifests(self.folder, self.topology)

    def open_connections(self, node: str, count: int) -> None:
        """Have a programmed node track so many connections: none of a pod, and they last."""
        inside = self.inside[node]
        inside.set_sysctls({"net/netfilter/nf_conntrack_udp_timeout": _HOUR})
        with inside.socket(socket.SOCK_DGRAM) as sending:
            for number in range(count):
                sending.sendto(b"", ("127.0.0.1", _FIRST_PORT + number))


def pair_with(pods: int) -> Topology:
    """Return a CPU node with so many meshed pods, at most 252, and its DPU node."""
    cpu = TOPOLOGY.node(CPU)
    meshed = (
        Pod(name=f"p{number}", node=CPU, address=cpu.pods.network_address + 2 + number, meshed=True)
        for number in range(pods)
    )
    return Topology((cpu, TOPOLOGY.node(DPU)), (*meshed, TOPOLOGY.pod(ZTUNNEL)), ())


@contextmanager
def datapath_lab(pods: int) -> Iterator[DatapathLab]:
    """Build it, and take it away when the block ends; no node is programmed yet."""
    forget_the_dead(_PREFIX)
    topology, prefix = pair_with(pods), f"{_PREFIX}-{os.getpid()}-"
    names = (CPU, DPU, ZTUNNEL, _FAR_ENDS)
    with TemporaryDirectory(prefix="offmesh-bench-") as folder, namespaces(prefix, names) as inside:
        _set_sysctls(inside)
        wiring.lay(_cables(topology, prefix))
        inside[_FAR_ENDS].ip(f"link set e{pod.name} up" for pod in topology.pods_of(CPU))
        inside[ZTUNNEL].ip(wiring.pod(topology, topology.pod(ZTUNNEL)))
        for node in topology.nodes:
            inside[node.name].ip(wiring.node(topology, node))
        yield DatapathLab(inside, topology, Path(folder))


def _set_sysctls(inside: dict[str, Namespace]) -> None:
    for namespace in inside.values():
        namespace.set_sysctls({f"net/ipv6/conf/{which}/disable_ipv6": 1 for which in ("all", "default")})
    for name in (CPU, DPU):
        start = {f"net/ipv4/conf/{which}/rp_filter": 1 for which in ("all", "default")}
        inside[name].set_sysctls({"net/ipv4/ip_forward": 1, **start})


def _cables(topology: Topology, prefix: str) -> Iterator[str]:
    yield f"link add {UPLINK} netns {prefix}{CPU} type veth peer name {UPLINK} netns {prefix}{DPU}"
    for pod in topology.pods:
        own = pod.name == ZTUNNEL
        far = f"eth0 netns {prefix}{pod.name}" if own else f"e{pod.name} netns {prefix}{_FAR_ENDS}"
        yield f"link add {far} type veth peer name {pod.device} netns {prefix}{pod.node}"
