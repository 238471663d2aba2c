"""What a control plane says of the nodes of ``tests/datapath/nodes.py``."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Any

from xds_server.agent.told import Told
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

CPU, DPU, SINGLE = api.NodeProgram.CPU, api.NodeProgram.DPU, api.NodeProgram.SINGLE

_ADDRESSES = {
    "cpu": "192.168.50.130",
    "dpu": "192.168.50.131",
    "far-dpu": "192.168.50.128",
    "far-cpu": "192.168.50.133",
    "single": "192.168.50.140",
}
_RANGES = (
    ("10.244.0.0/24", "cpu", "dpu"),
    ("10.244.1.0/24", "dpu", ""),
    ("10.244.2.0/24", "far-dpu", ""),
    ("10.244.3.0/24", "far-cpu", "far-dpu"),
    ("10.244.4.0/24", "single", ""),
)
UID_2, UID_7 = "10.244.0.2", "10.244.0.7"
"""Addresses of the CPU node's pods, whose UIDs end likewise."""


def packed(*addresses: str) -> list[bytes]:
    return [ip_address(each).packed for each in addresses]


def cidr(text: str) -> api.Cidr:
    network = ip_network(text)
    return api.Cidr(address=network.network_address.packed, length=network.prefixlen)


def pod(uid: str, *addresses: str, node: str = "cpu") -> api.MeshedPod:
    return api.MeshedPod(uid=uid, node=node, addresses=packed(*addresses))


def pods(*addresses: str) -> list[api.MeshedPod]:
    """Make pods whose UIDs end with the last part of their addresses."""
    return [pod(f"uid-{each.rpartition('.')[2]}", each) for each in addresses]


def peer(node: str, *addresses: str) -> api.Peer:
    return api.Peer(node=node, addresses=packed(*(addresses or (_ADDRESSES[node],))))


def ztunnel(*addresses: str, uid: str = "uid-z", ready: bool = True) -> api.Ztunnel:
    return api.Ztunnel(uid=uid, node="dpu", addresses=packed(*addresses), ready=ready)


def cpu(**changed: Any) -> api.NodeProgram:
    said: dict[str, Any] = {
        "node": "cpu",
        "role": CPU,
        "addresses": packed(_ADDRESSES["cpu"]),
        "peers": [peer("dpu")],
        "pod_cidrs": [cidr("10.244.0.0/24")],
        "ztunnel": ztunnel("10.244.1.2"),
        "pods": pods(UID_7, UID_2),
    }
    return api.NodeProgram(**said | changed)


def dpu(**changed: Any) -> api.NodeProgram:
    said: dict[str, Any] = {
        "node": "dpu",
        "role": DPU,
        "addresses": packed(_ADDRESSES["dpu"]),
        "peers": [peer("cpu")],
        "pod_cidrs": [cidr("10.244.1.0/24")],
        "ztunnel": ztunnel("10.244.1.2"),
        "pods": pods(UID_7, UID_2),
        # What every kernel that tests run on has.
        "options": api.Options(tunnel_type=api.Options.VXLAN),
    }
    return api.NodeProgram(**said | changed)


def single(**changed: Any) -> api.NodeProgram:
    said: dict[str, Any] = {
        "node": "single",
        "role": SINGLE,
        "addresses": packed(_ADDRESSES["single"]),
        "pod_cidrs": [cidr("10.244.4.0/24")],
        "ztunnel": ztunnel("10.244.4.2"),
        "pods": [pod("uid-3", "10.244.4.3", node="single")],
    }
    return api.NodeProgram(**said | changed)


def ranges(*more: api.PodRange, stated: Iterable[tuple[str, str, str]] = _RANGES) -> api.PodRanges:
    return api.PodRanges(ranges=(*(_range(*each) for each in stated), *more))


def pod_range(text: str, node: Iterable[str], dpu: Iterable[str] = ()) -> api.PodRange:
    return api.PodRange(
        node="any", pod_cidrs=[cidr(text)], addresses=packed(*node), dpu_addresses=packed(*dpu)
    )


def told(program: api.NodeProgram, said: api.PodRanges | None = None) -> Told:
    return Told(program, said or ranges())


def _range(text: str, node: str, dpu: str) -> api.PodRange:
    dpu_addresses = packed(_ADDRESSES[dpu]) if dpu else ()
    return api.PodRange(
        node=node, pod_cidrs=[cidr(text)], addresses=packed(_ADDRESSES[node]), dpu_addresses=dpu_addresses
    )
