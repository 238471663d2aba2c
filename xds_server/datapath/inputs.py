"""
What a node's programs are made from: who the node is, who its pair is, which pods are meshed.

Everything is checked when the value is made. Whoever makes it has looked up what only the node
knows: devices, and whether ztunnel runs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from xds_server.datapath.program import Address, Network, check_device
from xds_server.exceptions import InputError

_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Role(StrEnum):
    """``CPU``: its meshed pods are served by the ztunnel on its DPU. ``SINGLE``: by the one on itself."""

    CPU = "cpu"
    DPU = "dpu"
    SINGLE = "single"


class WithoutZtunnel(StrEnum):
    """What becomes of meshed pods' TCP while no ztunnel runs: it goes on in plain, or is dropped."""

    PLAIN = "plain"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ztunnel:
    """``device`` is the host's end of the pod's veth; empty on a CPU node, which has none."""

    address: IPv4Address
    device: str = ""

    def __post_init__(self) -> None:
        if self.device:
            check_device(self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshedPod:
    """``device`` is the host's end of the pod's veth; empty where the pod is on another node."""

    address: Address
    uid: str
    device: str = ""

    def __post_init__(self) -> None:
        if _UID.fullmatch(self.uid) is None:
            expected = "expected 1 to 63 letters, digits, dots, dashes or underscores"
            raise InputError(f"pod {self.address}: uid {self.uid!r}: {expected}")
        if self.device:
            check_device(self.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRange:
    """The pods of a node, and its address in their family; ``dpu`` is the address of a CPU node's DPU."""

    cidr: Network
    node: Address
    dpu: Address | None = None

    def __post_init__(self) -> None:
        for address in filter(None, (self.node, self.dpu)):
            if address.version != self.cidr.version:
                raise InputError(f"range {self.cidr}: {address}: expected an IPv{self.cidr.version} address")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInputs:
    """One node. ``peer`` is the DPU node of a CPU node and the CPU node of a DPU node; a single has none."""

    role: Role
    address: IPv4Address
    address_v6: IPv6Address | None = None
    peer: IPv4Address | None = None
    peer_v6: IPv6Address | None = None
    uplink: str
    """The device that carries ``address``."""
    pod_cidr: IPv4Network
    host_ip: IPv4Address
    """The gateway of this node's pods: what the node itself sends to them from."""
    ztunnel: Ztunnel | None = None
    """The one that serves the meshed pods, be it here or on the DPU; None while none runs."""
    when_ztunnel_is_gone: WithoutZtunnel = WithoutZtunnel.PLAIN
    pods: tuple[MeshedPod, ...] = ()
    """Meshed pods of this node; on a DPU node those of its CPU node as well."""
    devices: tuple[str, ...] = ()
    """Host ends of the veths of this node's other pods."""
    ranges: tuple[PodRange, ...] = ()
    """Of all nodes; this node's own may be among them."""
    capture_dns: bool = False

    def __post_init__(self) -> None:
        for device in (self.uplink, *self.devices):
            check_device(device)
        for problem in self._problems():
            raise InputError(problem)

    @property
    def pods_v4(self) -> tuple[tuple[IPv4Address, MeshedPod], ...]:
        """The pods of the family the tunnels carry, in the order of their addresses."""
        found = [(pod.address, pod) for pod in self.pods if isinstance(pod.address, IPv4Address)]
        return tuple(sorted(found, key=lambda each: int(each[0])))

    @property
    def pod_devices(self) -> tuple[str, ...]:
        """Devices of meshed pods."""
        return tuple(sorted({pod.device for pod in self.pods if pod.device}))

    def _problems(self) -> Iterator[str]:
        yield from self._problems_of_roles()
        yield from self._problems_of_pods()
        yield from self._problems_of_ranges()

    def _problems_of_roles(self) -> Iterator[str]:
        if (self.role is Role.SINGLE) != (self.peer is None):
            yield f"peer is {self.peer or 'missing'}: expected one for a CPU or DPU node, none for a single"
        if self.peer == self.address:
            yield f"peer is {self.peer}: expected another node than address"
        if self.pod_cidr.prefixlen == 0:
            yield f"pod_cidr is {self.pod_cidr}: expected the range of this node's pods"
        if self.ztunnel and not self.ztunnel.device and self.role is not Role.CPU:
            yield f"ztunnel {self.ztunnel.address}: device is missing: expected the host's end of its veth"

    def _problems_of_pods(self) -> Iterator[str]:
        # A pod in the host's network has the host's address: in the set it would capture the node itself.
        taken: dict[Address | None, str] = {
            self.address: "this node's",
            self.address_v6: "this node's",
            self.peer: "the peer's",
            self.peer_v6: "the peer's",
            self.host_ip: "the pods' gateway's",
        }
        if self.ztunnel:
            taken[self.ztunnel.address] = "ztunnel's"
        for pod in self.pods:
            if pod.address in taken:
                yield f"pod {pod.uid}: address {pod.address} is {taken[pod.address]}: expected one of its own"
            taken[pod.address] = f"pod {pod.uid}'s"

    def _problems_of_ranges(self) -> Iterator[str]:
        stated: set[Network] = set()
        for each in self.ranges:
            if each.cidr in stated:
                yield f"range {each.cidr}: stated twice"
            stated.add(each.cidr)
            if each.cidr.version == 6 and self.role is Role.CPU and self.peer_v6 is None:
                yield f"range {each.cidr}: peer_v6 is missing: a CPU node reaches IPv6 ranges by it"
