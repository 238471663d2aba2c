"""
Every mark, number, name and address of the programs, with the original's values as defaults.

Facts: datapath, 0 to 3. Change one where another stack on the node uses the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface

from xds_server.datapath.program import Mark, TunnelType, check_device
from xds_server.exceptions import InputError

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_LAST_PRIORITY = 32_765
"""The last before the rule that looks up ``main``."""
_RESERVED_TABLES = frozenset({0, 253, 254, 255})


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """One value for a node; both nodes of a pair and the ztunnel pod must be given the same tunnels."""

    outbound: Mark = Mark(0x100, 0x100)
    """New TCP of a meshed pod: to the proxy."""
    skip: Mark = Mark(0x200, 0x200)
    skip_connection: Mark = Mark(0x220, 0x220)
    from_proxy: Mark = Mark(0x210, 0x210)
    """Came out of the proxy with somebody else's source."""
    to_proxy: Mark = Mark(0x40, 0x40)
    """Answers and later packets: back to the proxy."""
    to_cpu: Mark = Mark(0x240, 0x240)
    """First edition alone: into the tunnel to the CPU node."""

    inbound_table: int = 100
    outbound_table: int = 101
    proxy_table: int = 102
    cpu_tunnel_table: int = 104
    outer_table: int = 105

    outer_priority: int = 98
    cpu_tunnel_priority: int = 99
    skip_priority: int = 100
    outbound_priority: int = 101
    proxy_priority: int = 102
    inbound_priority: int = 103

    chain_prefix: str = "ztunnel-"
    pods_set: str = "ztunnel-pods-ips"
    tunnel_type: TunnelType = TunnelType.GENEVE
    tunnel_port: int = 6081
    tunnel_mtu: int = 1450
    inbound_link: str = "istioin"
    inbound_vni: int = 1000
    inbound_address: IPv4Interface = IPv4Interface("192.168.126.1/30")
    outbound_link: str = "istioout"
    outbound_vni: int = 1001
    outbound_address: IPv4Interface = IPv4Interface("192.168.127.1/30")
    dpu_link: str = "dputunnel"
    cpu_link: str = "cputunnel"
    pair_vni: int = 2000
    pair_cpu_address: IPv4Interface = IPv4Interface("192.168.128.1/30")
    pair_dpu_address: IPv4Interface = IPv4Interface("192.168.128.2/30")

    pod_device: str = "eth0"
    """The device of the ztunnel pod, seen from within."""
    pod_local_table: int = 100
    pod_outbound_table: int = 101
    pod_inbound_table: int = 102
    pod_inbound_link: str = "pistioin"
    pod_inbound_address: IPv4Interface = IPv4Interface("192.168.126.2/30")
    pod_outbound_link: str = "pistioout"
    pod_outbound_address: IPv4Interface = IPv4Interface("192.168.127.2/30")
    inbound_port: int = 15008
    plaintext_port: int = 15006
    outbound_port: int = 15001
    dns_port: int = 15053
    same_node_port: int = 15088
    tproxy: Mark = Mark(0x400, 0xFFF)
    outbound_socket: Mark = Mark(0x401, 0xFFF)
    inbound_socket: Mark = Mark(0x402, 0xFFF)
    original_source: Mark = Mark(0x4D3, 0xFFF)
    tproxy_priority: int = 20000
    """The first of four."""

    def __post_init__(self) -> None:
        for problem in (*self._problems_of_texts(), *self._problems_of_numbers(), *self._problems_of_marks()):
            raise InputError(f"names: {problem}")

    def _problems_of_texts(self) -> Iterator[str]:
        for link in (self.inbound_link, self.outbound_link, self.dpu_link, self.cpu_link):
            check_device(link)
        for link in (self.pod_device, self.pod_inbound_link, self.pod_outbound_link):
            check_device(link)
        # 28 for a chain less the longest built-in name; 31 for a set less ``-new``.
        for name, text, longest in (
            ("chain_prefix", self.chain_prefix, 17),
            ("pods_set", self.pods_set, 27),
        ):
            if _WORD.fullmatch(text) is None or len(text) > longest:
                expected = f"a letter, then up to {longest - 1} letters, digits, dots, dashes or underscores"
                yield f"{name} is {text!r}: expected {expected}"

    def _problems_of_numbers(self) -> Iterator[str]:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if name.endswith("_port") and not 0 < value < 65_536:
                yield f"{name} is {value}: expected a port"
            elif name.endswith("_vni") and not 0 < value < 2**24:
                yield f"{name} is {value}: expected 1 to {2**24 - 1}"
            elif name.endswith("_table") and (not 0 < value < 2**32 or value in _RESERVED_TABLES):
                yield f"{name} is {value}: expected a table that the kernel does not use itself"
            elif name.endswith("_priority") and not 0 < value <= _LAST_PRIORITY:
                yield f"{name} is {value}: expected 1 to {_LAST_PRIORITY}"

    def _problems_of_marks(self) -> Iterator[str]:
        for name in self.__dataclass_fields__:
            mark = getattr(self, name)
            if isinstance(mark, Mark) and (not mark.value or mark.value & ~mark.mask):
                yield f"{name} is {mark}: expected bits within its mask"
        for name in ("skip_connection", "from_proxy", "to_cpu"):
            mark = getattr(self, name)
            if not mark.includes(self.skip):
                yield f"{name} is {mark}: expected one that includes skip, {self.skip}"
        # The mark of a connection tells which of the two it is.
        if self.skip_connection.includes(self.from_proxy) or self.from_proxy.includes(self.skip_connection):
            yield f"from_proxy is {self.from_proxy}: expected one told from skip_connection by bits of each"
        for name in ("outbound", "to_proxy"):
            mark = getattr(self, name)
            if mark.mask & self.skip.mask:
                yield f"{name} is {mark}: expected other bits than those of skip, {self.skip}"
