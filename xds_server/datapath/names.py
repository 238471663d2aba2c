"""
Every mark, number, name and address of the programs, with the original's values as defaults.

Facts: datapath, 0 to 3. Change one where another stack on the node uses the same.
"""

from dataclasses import dataclass
from ipaddress import IPv4Interface

from xds_server.datapath.program import Mark, TunnelType


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
