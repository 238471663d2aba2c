"""Nodes that tests make programs for: two pairs and a single, with the addresses of the documentation."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Role, WithoutZtunnel, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import Mark, TunnelType

_ip, _range = IPv4Address, IPv4Network

RANGES = (
    PodRange(cidr=_range("10.244.0.0/24"), node=_ip("192.168.50.130"), dpu=_ip("192.168.50.131")),
    PodRange(cidr=_range("10.244.1.0/24"), node=_ip("192.168.50.131")),
    PodRange(cidr=_range("10.244.2.0/24"), node=_ip("192.168.50.128")),
    PodRange(cidr=_range("10.244.3.0/24"), node=_ip("192.168.50.133"), dpu=_ip("192.168.50.128")),
    PodRange(cidr=_range("10.244.4.0/24"), node=_ip("192.168.50.140")),
)

CPU = NodeInputs(
    role=Role.CPU,
    address=_ip("192.168.50.130"),
    peer=_ip("192.168.50.131"),
    uplink="ens32",
    pod_cidr=_range("10.244.0.0/24"),
    host_ip=_ip("10.244.0.1"),
    ztunnel=Ztunnel(address=_ip("10.244.1.2")),
    pods=(
        MeshedPod(address=_ip("10.244.0.7"), uid="uid-7", device="veth7"),
        MeshedPod(address=_ip("10.244.0.2"), uid="uid-2", device="veth2"),
    ),
    devices=("veth9",),
    ranges=RANGES,
)

DPU = NodeInputs(
    role=Role.DPU,
    address=_ip("192.168.50.131"),
    peer=_ip("192.168.50.130"),
    uplink="ens32",
    pod_cidr=_range("10.244.1.0/24"),
    host_ip=_ip("10.244.1.1"),
    ztunnel=Ztunnel(address=_ip("10.244.1.2"), device="veth1ae58883"),
    pods=tuple(replace(pod, device="") for pod in CPU.pods),
    ranges=RANGES,
)

SINGLE = NodeInputs(
    role=Role.SINGLE,
    address=_ip("192.168.50.140"),
    uplink="ens32",
    pod_cidr=_range("10.244.4.0/24"),
    host_ip=_ip("10.244.4.1"),
    ztunnel=Ztunnel(address=_ip("10.244.4.2"), device="vethz"),
    pods=(MeshedPod(address=_ip("10.244.4.3"), uid="uid-3", device="veth3"),),
    devices=("veth9",),
    ranges=RANGES,
)

NODES = {Role.CPU: CPU, Role.DPU: DPU, Role.SINGLE: SINGLE}

NODE_OF = {
    "ambient_node": SINGLE,
    "cpu_node": CPU,
    "dpu_node": DPU,
    "ambient_node_original": SINGLE,
    "cpu_node_original": CPU,
    "dpu_node_original": DPU,
    "cpu_node_tunnelled": CPU,
    "dpu_node_tunnelled": DPU,
    "ztunnel_netns": DPU,
    "pod_routes": CPU,
}
"""A node for each program."""

NAMES = Names()
OTHER_NAMES = Names(
    outbound=Mark(0x10000, 0x10000),
    skip=Mark(0x20000, 0x20000),
    skip_connection=Mark(0x60000, 0x60000),
    from_proxy=Mark(0xA0000, 0xA0000),
    to_proxy=Mark(0x100000, 0x100000),
    to_cpu=Mark(0x120000, 0x120000),
    inbound_table=1100,
    outbound_table=1101,
    proxy_table=1102,
    cpu_tunnel_table=1104,
    outer_table=1105,
    outer_priority=1098,
    cpu_tunnel_priority=1099,
    skip_priority=1100,
    outbound_priority=1101,
    proxy_priority=1102,
    inbound_priority=1103,
    chain_prefix="offmesh-",
    pods_set="offmesh-pods",
    tunnel_type=TunnelType.VXLAN,
    tunnel_port=6082,
    tunnel_mtu=1400,
    inbound_link="in0",
    inbound_vni=3000,
    inbound_address=IPv4Interface("169.254.1.1/31"),
    outbound_link="out0",
    outbound_vni=3001,
    outbound_address=IPv4Interface("169.254.2.1/31"),
    dpu_link="todpu",
    cpu_link="tocpu",
    pair_vni=4000,
    pair_cpu_address=IPv4Interface("169.254.3.1/31"),
    pair_dpu_address=IPv4Interface("169.254.3.2/31"),
    pod_device="net0",
    pod_local_table=1100,
    pod_outbound_table=1101,
    pod_inbound_table=1102,
    pod_inbound_link="pin0",
    pod_inbound_address=IPv4Interface("169.254.1.2/31"),
    pod_outbound_link="pout0",
    pod_outbound_address=IPv4Interface("169.254.2.2/31"),
    inbound_port=25008,
    plaintext_port=25006,
    outbound_port=25001,
    dns_port=25053,
    same_node_port=25088,
    tproxy=Mark(0x8000, 0xFFFF),
    outbound_socket=Mark(0x8001, 0xFFFF),
    inbound_socket=Mark(0x8002, 0xFFFF),
    original_source=Mark(0x80D3, 0xFFFF),
    tproxy_priority=21000,
)
"""None of them as in the originals; a table and a priority differ wherever they differed."""


def without_ztunnel(inputs: NodeInputs, policy: WithoutZtunnel) -> NodeInputs:
    return replace(inputs, ztunnel=None, when_ztunnel_is_gone=policy)
