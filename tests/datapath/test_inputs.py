"""Inputs of a node that cannot be are refused when the value is made, each with what is wrong."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.nodes import CPU, DPU, SINGLE
from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Ztunnel
from xds_server.exceptions import InputError

DEVICE = "expected 1 to 15 letters, digits, dots, dashes or underscores"
UID = "expected 1 to 63 letters, digits, dots, dashes or underscores"


def pod(address: str, uid: str = "uid-1", device: str = "") -> MeshedPod:
    return MeshedPod(address=ip_address(address), uid=uid, device=device)


@pytest.mark.parametrize(
    ("node", "change", "problem"),
    [
        (CPU, {"peer": None}, "peer is missing: expected one for a CPU or DPU node, none for a single"),
        (DPU, {"peer": None}, "peer is missing: expected one for a CPU or DPU node, none for a single"),
        (SINGLE, {"peer": CPU.address}, "peer is 192.168.50.130: expected one for a CPU or DPU node, none"),
        (CPU, {"peer": CPU.address}, "peer is 192.168.50.130: expected another node than address"),
        (CPU, {"uplink": "e;th0"}, f"device 'e;th0': {DEVICE}"),
        (CPU, {"uplink": "eth+"}, f"device 'eth+': {DEVICE}"),
        (CPU, {"uplink": "-i"}, f"device '-i': {DEVICE}"),
        (CPU, {"devices": ("veth9", "e" * 16)}, f"device '{'e' * 16}': {DEVICE}"),
        (
            CPU,
            {"pod_cidr": IPv4Network("0.0.0.0/0")},
            "pod_cidr is 0.0.0.0/0: expected the range of",
        ),
        (DPU, {"ztunnel": CPU.ztunnel}, "ztunnel 10.244.1.2: device is missing: expected the host's end"),
        (SINGLE, {"ztunnel": CPU.ztunnel}, "ztunnel 10.244.1.2: device is missing: expected the host's end"),
        (
            CPU,
            {"pods": (pod("192.168.50.130"),)},
            "pod uid-1: address 192.168.50.130 is this node's:",
        ),
        (
            CPU,
            {"pods": (pod("192.168.50.131"),)},
            "pod uid-1: address 192.168.50.131 is the peer's:",
        ),
        (
            CPU,
            {"pods": (pod("10.244.0.1"),)},
            "pod uid-1: address 10.244.0.1 is the pods' gateway's:",
        ),
        (
            CPU,
            {"pods": (pod("10.244.1.2"),)},
            "pod uid-1: address 10.244.1.2 is ztunnel's:",
        ),
        (
            CPU,
            {"pods": (pod("10.244.0.2", "a"), pod("10.244.0.2", "b"))},
            "pod b: address 10.244.0.2 is pod a's: expected one of its own",
        ),
        (
            CPU,
            {"address_v6": IPv6Address("fd50::130"), "pods": (pod("fd50::130"),)},
            "pod uid-1: address fd50::130 is this node's: expected one of its own",
        ),
        (CPU, {"ranges": CPU.ranges[:1] * 2}, "range 10.244.0.0/24: stated twice"),
        (
            CPU,
            {"ranges": (PodRange(cidr=ip_network("fd01::/64"), node=ip_address("fd50::131")),)},
            "range fd01::/64: peer_v6 is missing: a CPU node reaches IPv6 ranges by it",
        ),
    ],
)
def test_a_node_that_cannot_be_is_refused(node: NodeInputs, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as refused:
        replace(node, **change)
    assert str(refused.value).startswith(problem)


@pytest.mark.parametrize("uid", ["", "a b", 'a"b', "-a", "a\n", "a" * 64, "ü"])
def test_a_uid_that_is_no_comment_of_a_set_is_refused(uid: str) -> None:
    with pytest.raises(InputError) as refused:
        pod("10.244.0.2", uid)
    assert str(refused.value) == f"pod 10.244.0.2: uid {uid!r}: {UID}"


def test_a_device_of_a_pod_or_of_ztunnel_is_one_that_a_link_may_have() -> None:
    with pytest.raises(InputError, match="device 'a/b'"):
        pod("10.244.0.2", device="a/b")
    with pytest.raises(InputError, match="device 'a/b'"):
        Ztunnel(address=IPv4Address("10.244.1.2"), device="a/b")


@pytest.mark.parametrize("change", [{"node": ip_address("fd50::1")}, {"dpu": ip_address("fd50::1")}])
def test_a_range_is_reached_by_addresses_of_its_family(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^range 10\.244\.0\.0/24: fd50::1: expected an IPv4 address$"):
        replace(CPU.ranges[0], **change)


@given(st.permutations([*CPU.pods, pod("10.244.0.9", "nine"), pod("fd00::9", "nine")]))
def test_the_order_of_pods_says_nothing(pods: list[MeshedPod]) -> None:
    node = replace(CPU, pods=tuple(pods))
    assert [str(address) for address, _ in node.pods_v4] == ["10.244.0.2", "10.244.0.7", "10.244.0.9"]
    assert node.pod_devices == ("veth2", "veth7")
