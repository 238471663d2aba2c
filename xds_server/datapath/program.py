"""
A node program: everything of ours a kernel holds, as one value.

Words are those of iproute2, ipset and iptables. Every value is typed and checked when it is made, so
nothing else can reach a command. Owned objects are told from foreign ones by their names: chains,
sets and links by theirs, rules and routes by the protocol number and the priority or table they have.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from xds_server.exceptions import InputError

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface
Network = IPv4Network | IPv6Network

PROTOCOL = 76
"""Of our routes and rules (``proto`` of iproute2): a number nobody has registered."""
MAIN = 254
"""The number of the table ``main``."""

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_SYSCTL = re.compile(r"net/ipv[46]/[a-z0-9_]+(/[A-Za-z0-9_.-]{1,15}){0,2}(/[a-z0-9_]+)?")


class TunnelType(StrEnum):
    GENEVE = "geneve"
    VXLAN = "vxlan"


class Table(StrEnum):
    """Tables of iptables."""

    RAW = "raw"
    MANGLE = "mangle"
    NAT = "nat"
    FILTER = "filter"


def check_device(name: str) -> str:
    """
    Return a name that a link may have.

    Raises:
        InputError: it is none.

    """
    if _DEVICE.fullmatch(name) is None:
        raise InputError(f"device {name!r}: expected 1 to 15 letters, digits, dots, dashes or underscores")
    return name


@dataclass(frozen=True, slots=True)
class Mark:
    """``value/mask`` of fwmark and ctmark."""

    value: int
    mask: int

    def __post_init__(self) -> None:
        if not (0 <= self.value < 2**32 and 0 <= self.mask < 2**32):
            raise InputError(f"mark {self}: expected a value and a mask of 32 bits")

    def __str__(self) -> str:
        return f"{self.value:#x}/{self.mask:#x}"

    def includes(self, other: "Mark") -> bool:
        """Tell whether a packet with this mark has ``other`` too."""
        return other.mask & ~self.mask == 0 and self.value & other.mask == other.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A tunnel device of ours. Of one that was found, an unspecified ``address`` says that it has none."""

    name: str
    type: TunnelType
    vni: int
    remote: Address
    port: int
    address: Interface
    mtu: int
    up: bool = True

    def __post_init__(self) -> None:
        check_device(self.name)

    @property
    def mac(self) -> str:
        """
        Its hardware address: the same one each time it is made.

        The far end has it among its neighbours, and would go on sending to another one for a while.
        """
        digest = sha256(f"{self.name} {self.address}".encode()).digest()
        return ":".join(f"{octet:02x}" for octet in (0x02, *digest[:5]))


@dataclass(frozen=True, slots=True, order=True)
class Sysctl:
    """``path`` is below /proc/sys, with slashes: a device's name may have dots."""

    path: str
    value: str

    def __post_init__(self) -> None:
        if _SYSCTL.fullmatch(self.path) is None or ".." in self.path.split("/"):
            raise InputError(f"sysctl {self.path!r}: expected net/ipv4/conf/DEVICE/NAME or the like")


@dataclass(frozen=True, slots=True)
class IpSet:
    """A set of addresses (``hash:ip``); the comment of a member is the UID of its pod."""

    name: str
    members: frozenset[tuple[Address, str]] = frozenset()
    family: str = "inet"


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of ours with its rules, each as the words that follow ``-A CHAIN``."""

    table: Table
    name: str
    rules: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Jump:
    """The one jump from a built-in chain to a chain of ours, at its top."""

    table: Table
    builtin: str
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """A rule of ``ip rule``: looks up a table, or goes on at another priority."""

    priority: int
    fwmark: Mark | None = None
    ipproto: str = ""
    table: int = 0
    goto: int = 0
    family: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of ours; ``destination`` None is the default. One of type ``blackhole`` has no device."""

    table: int
    destination: Network | None = field(default=None, compare=False)
    via: Address | None = None
    device: str = ""
    src: Address | None = None
    scope_link: bool = False
    onlink: bool = False
    local: bool = False
    blackhole: bool = False
    family: int = 4
    key: tuple[int, int, str] = field(init=False, repr=False)
    """What the kernel tells routes apart by."""

    def __post_init__(self) -> None:
        # Made once: nodes have hundreds of routes, and each is looked up several times in a plan.
        object.__setattr__(self, "key", (self.family, self.table, str(self.destination or "default")))
        if not self.blackhole:
            check_device(self.device)
        elif self.device or self.via:
            raise InputError(f"route {self.key}: a blackhole has neither device nor gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """All of it; no two members of a kind have one key."""

    name: str
    links: tuple[Link, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    sets: tuple[IpSet, ...] = ()
    chains: tuple[Chain, ...] = ()
    jumps: tuple[Jump, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    routes: tuple[Route, ...] = field(default=())
