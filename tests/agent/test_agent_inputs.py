"""What the control plane says and what the node knows, as the inputs of its programs."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest

from tests.agent.saying import cidr, cpu, dpu, packed, peer, pod, pod_range, ranges, single, ztunnel
from tests.datapath import nodes
from xds_server.agent.inputs import node_inputs
from xds_server.agent.local import Local
from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Role, WithoutZtunnel
from xds_server.exceptions import InputError
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api


def local(own: dict[str, str], pods: dict[str, str]) -> Local:
    return Local(
        {ip_address(each): device for each, device in own.items()},
        {ip_address(each): device for each, device in pods.items()},
    )


LOCAL_OF: dict[str, Local] = {
    "cpu": local(
        {"192.168.50.130": "ens32", "10.244.0.1": "veth2", "127.0.0.1": "lo"},
        {"10.244.0.7": "veth7", "10.244.0.2": "veth2", "10.244.0.9": "veth9", "192.168.50.7": "wg0"},
    ),
    "dpu": local(
        {"192.168.50.131": "ens32", "10.244.1.1": "veth1ae58883"},
        {"10.244.1.2": "veth1ae58883"},
    ),
    "single": local(
        {"192.168.50.140": "ens32", "10.244.4.1": "vethz"},
        {"10.244.4.2": "vethz", "10.244.4.3": "veth3", "10.244.4.9": "veth9"},
    ),
}


def inputs_of(
    program: api.NodeProgram,
    said: api.PodRanges | None = None,
    local: Local | None = None,
    policy: WithoutZtunnel = WithoutZtunnel.PLAIN,
) -> NodeInputs:
    return node_inputs(program, said or ranges(), local or LOCAL_OF[program.node], policy)


@pytest.mark.parametrize(
    ("program", "expected"),
    [(cpu(), nodes.CPU), (dpu(), nodes.DPU), (single(), nodes.SINGLE)],
    ids=["cpu", "dpu", "single"],
)
def test_a_node_of_each_role_is_as_the_programs_are_tested_with(
    program: api.NodeProgram, expected: NodeInputs
) -> None:
    assert inputs_of(program) == expected


V6 = "fd00:50::130"
TWO = [pod("uid-7", "10.244.0.7", "fd00::7"), pod("uid-2", "10.244.0.2")]


@pytest.mark.parametrize(
    ("what", "program", "expected"),
    [
        ("an address of IPv6", cpu(addresses=packed(V6, "192.168.50.130")), {"address_v6": IPv6Address(V6)}),
        (
            "a peer's address of IPv6",
            cpu(peers=[peer("dpu", V6, "192.168.50.131")]),
            {"peer_v6": IPv6Address(V6)},
        ),
        ("an uplink that the Node object tells", cpu(uplink="bond0"), {"uplink": "bond0"}),
        (
            "the range of IPv4 among two",
            cpu(pod_cidrs=[cidr("fd00::/64"), cidr("10.244.0.0/24")]),
            {"pod_cidr": nodes.CPU.pod_cidr},
        ),
        ("a gateway that is stated and another that is there", cpu(pod_gateway=packed("10.244.0.3")[0]), {}),
        ("no ztunnel", cpu(ztunnel=None), {"ztunnel": None}),
        ("a ztunnel that is not ready", cpu(ztunnel=ztunnel("10.244.1.2", ready=False)), {"ztunnel": None}),
        ("a ztunnel without an address", cpu(ztunnel=ztunnel()), {"ztunnel": None}),
        ("a ztunnel of IPv6 alone", cpu(ztunnel=ztunnel("fd00::2")), {"ztunnel": None}),
        ("a ztunnel with two addresses", cpu(ztunnel=ztunnel("fd00::2", "10.244.1.2")), {}),
        ("no pods", cpu(pods=[]), {"pods": (), "devices": ("veth2", "veth7", "veth9")}),
        (
            "a pod with two addresses",
            cpu(pods=TWO),
            {
                "pods": (
                    nodes.CPU.pods[0],
                    MeshedPod(address=IPv6Address("fd00::7"), uid="uid-7"),
                    nodes.CPU.pods[1],
                )
            },
        ),
        ("capture of DNS", cpu(options=api.Options(capture_dns=True)), {"capture_dns": True}),
    ],
)
def test_each_thing_that_is_said_is_heeded(
    what: str, program: api.NodeProgram, expected: dict[str, Any]
) -> None:
    assert inputs_of(program) == replace(nodes.CPU, **expected), what


def test_the_policy_for_when_ztunnel_is_gone_is_the_nodes_own() -> None:
    found = inputs_of(cpu(), policy=WithoutZtunnel.BLOCK)
    assert found == replace(nodes.CPU, when_ztunnel_is_gone=WithoutZtunnel.BLOCK)


def without(name: str, *, own: str = "", pods: str = "") -> Local:
    """Return what a node knows, less one address."""
    whole = LOCAL_OF[name]
    return Local(
        {address: device for address, device in whole.own.items() if str(address) != own},
        {address: device for address, device in whole.pods.items() if str(address) != pods},
    )


@pytest.mark.parametrize(
    ("what", "program", "known", "expected"),
    [
        (
            "a pod whose device is not there yet",
            cpu(),
            without("cpu", pods="10.244.0.7"),
            {"pods": (replace(nodes.CPU.pods[0], device=""), nodes.CPU.pods[1])},
        ),
        ("no other pod", cpu(), without("cpu", pods="10.244.0.9"), {"devices": ()}),
        ("no gateway yet, and none stated", cpu(), without("cpu", own="10.244.0.1"), {}),
        (
            "no gateway yet, and one stated",
            cpu(pod_gateway=packed("10.244.0.3")[0]),
            without("cpu", own="10.244.0.1"),
            {"host_ip": IPv4Address("10.244.0.3")},
        ),
        (
            "ztunnel's device is not there yet",
            dpu(),
            without("dpu", pods="10.244.1.2"),
            {"ztunnel": None},
        ),
        (
            "two addresses in the pods' range",
            cpu(),
            local({"192.168.50.130": "ens32", "10.244.0.200": "cni0", "10.244.0.1": "cni0"}, {}),
            {
                "pods": tuple(replace(each, device="") for each in nodes.CPU.pods),
                "devices": (),
                "host_ip": IPv4Address("10.244.0.1"),
            },
        ),
    ],
)
def test_each_thing_that_only_the_node_knows_is_heeded(
    what: str, program: api.NodeProgram, known: Local, expected: dict[str, Any]
) -> None:
    usual = nodes.CPU if program.node == "cpu" else nodes.DPU
    assert inputs_of(program, local=known) == replace(usual, **expected), what


def test_an_address_that_two_pods_are_told_with_is_one_pods() -> None:
    found = inputs_of(cpu(pods=[pod("uid-old", "10.244.0.7"), pod("uid-new", "10.244.0.7")]))
    assert [(str(each.address), each.uid, each.device) for each in found.pods] == [
        ("10.244.0.7", "uid-new", "veth7")
    ]


def test_a_dpu_node_carries_the_pods_of_several_cpu_nodes() -> None:
    """Its peer is one of them; a range of the others is reached without another DPU node."""
    found = inputs_of(dpu(peers=[peer("cpu"), peer("far-cpu")]))
    assert found == nodes.DPU


def test_a_cpu_node_without_an_address_takes_nothing_from_the_others_of_its_dpu_node() -> None:
    unknown = api.Peer(node="not-there-yet")
    assert inputs_of(dpu(peers=[unknown, peer("cpu")])) == nodes.DPU


def test_a_dpu_node_that_no_cpu_node_is_paired_with_is_a_single_node() -> None:
    assert inputs_of(dpu(peers=[])) == replace(nodes.DPU, role=Role.SINGLE, peer=None)


@pytest.mark.parametrize(
    ("what", "text", "node", "by", "expected"),
    [
        ("its node has no such address", "fd01::/64", ("192.168.50.9",), (), None),
        ("its node has one", "fd01::/64", ("192.168.50.9", "fd00:50::9"), (), ("fd00:50::9", None)),
        ("its DPU node has no such address", "fd01::/64", ("fd00:50::9",), ("192.168.50.8",), None),
        (
            "its DPU node has one",
            "fd01::/64",
            ("fd00:50::9",),
            ("192.168.50.8", "fd00:50::8"),
            ("fd00:50::9", "fd00:50::8"),
        ),
        ("of IPv4 whose node has none", "10.9.0.0/24", ("fd00:50::9",), (), None),
        ("of IPv4", "10.9.0.0/24", ("fd00:50::9", "192.168.50.9"), (), ("192.168.50.9", None)),
    ],
)
def test_a_range_that_is_not_reached_in_its_family_is_left_out(
    what: str, text: str, node: tuple[str, ...], by: tuple[str, ...], expected: tuple[str, str | None] | None
) -> None:
    found = inputs_of(dpu(), ranges(pod_range(text, node, by)))
    assert len(found.ranges) == len(nodes.RANGES) + (expected is not None), what
    if expected is not None:
        address, dpu_address = expected
        assert found.ranges[-1] == PodRange(
            cidr=ip_network(text),
            node=ip_address(address),
            dpu=ip_address(dpu_address) if dpu_address else None,
        )


@pytest.mark.parametrize(("v6_of_peer", "count"), [((), 0), (("fd00:50::131",), 1)])
def test_a_cpu_node_reaches_ranges_of_ipv6_where_its_dpu_node_has_such_an_address(
    v6_of_peer: tuple[str, ...], count: int
) -> None:
    program = cpu(peers=[peer("dpu", "192.168.50.131", *v6_of_peer)])
    found = inputs_of(program, ranges(pod_range("fd01::/64", ("fd00:50::9",))))
    assert sum(each.cidr.version == 6 for each in found.ranges) == count


SHORT = b"\x0a\xf4\x00"
UNKNOWN_ROLE = 9
IPV6_PEER = [peer("dpu", "fd00::1")]

Case = tuple[str, api.NodeProgram, Callable[[], api.PodRanges]]
CASES: list[Case] = [
    ("node cpu has no InternalIP of IPv4", cpu(addresses=[]), ranges),
    ("node cpu has no InternalIP of IPv4", cpu(addresses=packed("fd00::1")), ranges),
    ("node cpu: no device here has its address 192.0.2.9", cpu(addresses=packed("192.0.2.9")), ranges),
    (
        "node cpu has no podCIDR of IPv4: expected one, by which its pods are known",
        cpu(pod_cidrs=[cidr("fd00::/64")]),
        ranges,
    ),
    ("node cpu: role 9 is unknown to this agent", cpu(role=UNKNOWN_ROLE), ranges),
    ("node cpu: role 0 is unknown to this agent", cpu(role=api.NodeProgram.ROLE_UNSPECIFIED), ranges),
    ("node cpu is a CPU node without a peer: expected its DPU node", cpu(peers=[]), ranges),
    ("node dpu, its peer, has no InternalIP of IPv4", cpu(peers=IPV6_PEER), ranges),
    ("node not-there-yet, its peer, has no", dpu(peers=[api.Peer(node="not-there-yet")]), ranges),
    ("address: ", cpu(addresses=[SHORT]), ranges),
    ("expected 4 or 16 bytes", cpu(addresses=[SHORT]), ranges),
    ("expected 4 or 16 bytes", cpu(peers=[api.Peer(node="dpu", addresses=[SHORT])]), ranges),
    (
        "expected 4 or 16 bytes",
        cpu(ztunnel=api.Ztunnel(uid="z", node="dpu", addresses=[SHORT], ready=True)),
        ranges,
    ),
    ("expected 4 or 16 bytes", cpu(pods=[api.MeshedPod(uid="u", addresses=[SHORT])]), ranges),
    ("range: ", cpu(pod_cidrs=[api.Cidr(address=SHORT, length=24)]), ranges),
    (
        "expected an address and a length",
        cpu(pod_cidrs=[api.Cidr(address=packed("10.244.0.0")[0], length=33)]),
        ranges,
    ),
    (
        "host bits set",
        cpu(pod_cidrs=[api.Cidr(address=packed("10.244.0.1")[0], length=24)]),
        ranges,
    ),
    (
        "expected an address and a length",
        cpu(),
        lambda: api.PodRanges(ranges=[api.PodRange(pod_cidrs=[api.Cidr(address=SHORT)])]),
    ),
    (
        "expected 4 or 16 bytes",
        cpu(),
        lambda: api.PodRanges(ranges=[api.PodRange(node="any", addresses=[SHORT])]),
    ),
    ("pod 10.244.0.7: uid '../x': expected", cpu(pods=[pod("../x", "10.244.0.7")]), ranges),
    ("pod u: address 192.168.50.130 is this node's", cpu(pods=[pod("u", "192.168.50.130")]), ranges),
    ("device 'a b': expected 1 to 15", cpu(uplink="a b"), ranges),
]


@pytest.mark.parametrize(("problem", "program", "said"), CASES)
def test_what_makes_no_program_is_told(
    problem: str, program: api.NodeProgram, said: Callable[[], api.PodRanges]
) -> None:
    with pytest.raises(InputError) as raised:
        inputs_of(program, said())
    assert problem in str(raised.value)


def test_a_gateway_that_is_no_address_is_told_while_it_is_needed() -> None:
    with pytest.raises(InputError, match="expected 4 or 16 bytes"):
        inputs_of(cpu(pod_gateway=SHORT), local=without("cpu", own="10.244.0.1"))


def test_two_nodes_with_one_range_take_no_program_from_the_others() -> None:
    """A Node object that was made anew, under another name, is there beside the old one for a while."""
    again = pod_range("10.244.4.0/24", ("192.168.50.141",))
    assert inputs_of(cpu(), ranges(again)).ranges == nodes.RANGES


def test_of_two_nodes_with_one_range_the_own_has_it() -> None:
    other, own = ((each,) for each in ("192.168.50.141", "192.168.50.140"))
    said = api.PodRanges(ranges=[pod_range("10.244.4.0/24", other), pod_range("10.244.4.0/24", own)])
    assert [str(each.node) for each in inputs_of(single(), said).ranges] == ["192.168.50.140"]
