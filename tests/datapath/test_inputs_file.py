"""A node file, YAML or JSON, is read to a node's inputs and names, or refused: what is wrong, and where."""

import json
from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, ip_address, ip_network

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.nodes import CPU, DPU, NAMES, OTHER_NAMES, SINGLE
from xds_server.datapath.inputs import NodeInputs, PodRange, WithoutZtunnel
from xds_server.datapath.inputs_file import parse_inputs, parse_names
from xds_server.datapath.names import Names
from xds_server.datapath.program import Mark, TunnelType
from xds_server.exceptions import InputError

FULL = """\
role: cpu
address: 192.168.50.130
address_v6: fd50::130
peer: 192.168.50.131
peer_v6: fd50::131
uplink: ens32
pod_cidr: 10.244.0.0/24
host_ip: 10.244.0.1
ztunnel:
  address: 10.244.1.2
when_ztunnel_is_gone: block
capture_dns: true
pods:
- address: 10.244.0.7
  uid: uid-7
  device: veth7
- {address: 10.244.0.2, uid: uid-2, device: veth2}
devices: [veth9]
ranges:
- cidr: 10.244.3.0/24
  node: 192.168.50.133
  dpu: 192.168.50.128
- cidr: fd03::/64
  node: fd50::133
  dpu: fd50::128
names:
  tunnel_type: vxlan
  outbound: 0x1000/0x1000
  inbound_table: 1100
  inbound_address: 169.254.1.1/30
"""
NODE = replace(
    CPU,
    address_v6=IPv6Address("fd50::130"),
    peer_v6=IPv6Address("fd50::131"),
    when_ztunnel_is_gone=WithoutZtunnel.BLOCK,
    capture_dns=True,
    ranges=(
        CPU.ranges[3],
        PodRange(cidr=ip_network("fd03::/64"), node=ip_address("fd50::133"), dpu=ip_address("fd50::128")),
    ),
)
LEAST = "role: single\naddress: 192.168.50.140\nuplink: ens32\npod_cidr: 10.244.4.0/24\n"


def test_a_file_may_state_everything() -> None:
    assert parse_inputs(FULL, "node.yaml") == NODE
    assert parse_names(FULL, "node.yaml") == replace(
        NAMES,
        tunnel_type=TunnelType.VXLAN,
        outbound=Mark(0x1000, 0x1000),
        inbound_table=1100,
        inbound_address=IPv4Interface("169.254.1.1/30"),
    )


def test_a_file_may_be_json() -> None:
    text = json.dumps(yaml.safe_load(FULL))
    assert parse_inputs(text, "node.json") == NODE
    assert parse_names(text, "node.json") == parse_names(FULL, "node.yaml")


@pytest.mark.parametrize("rest", ["", "ztunnel:\npods:\nnames:\n"], ids=["left out", "empty"])
def test_what_is_not_stated_is_as_on_a_fresh_node(rest: str) -> None:
    """The gateway of the pods is the first address of their range, whether a pod has come or not."""
    expected = replace(
        SINGLE, host_ip=IPv4Address("10.244.4.1"), ztunnel=None, pods=(), devices=(), ranges=()
    )
    assert parse_inputs(LEAST + rest, "node.yaml") == expected
    assert parse_names(LEAST + rest, "node.yaml") == NAMES


def as_file(node: NodeInputs, names: Names) -> str:
    def texts(value: object) -> object:
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, Mark):
            stated = {each.name: getattr(value, each.name) for each in fields(value)}  # type: ignore[arg-type]
            return {key: texts(each) for key, each in stated.items() if each is not None}
        if isinstance(value, tuple):
            return [texts(each) for each in value]
        return value if isinstance(value, bool | int) else str(value)

    stated = texts(node)
    assert isinstance(stated, dict)
    return yaml.safe_dump(stated | {"names": texts(names)})


@given(st.sampled_from([CPU, DPU, SINGLE, NODE]), st.sampled_from([NAMES, OTHER_NAMES]))
def test_what_is_written_is_read(node: NodeInputs, names: Names) -> None:
    text = as_file(node, names)
    assert parse_inputs(text, "node.yaml") == node
    assert parse_names(text, "node.yaml") == names


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("role: cpu", "role: gpu", "role is 'gpu': expected one of cpu, dpu, single"),
        ("role: cpu\n", "", "role is missing: expected one of cpu, dpu, single"),
        ("role: cpu", "rule: cpu", "rule is an unknown key: expected one of role, address,"),
        ("192.168.50.130", "192.168.50.300", "address is '192.168.50.300': expected an IPv4 address"),
        ("address: 192.168.50.130", "address: 3232248450", "address is 3232248450: expected an IPv4 address"),
        ("peer_v6: fd50::131", "peer_v6: 10.0.0.1", "peer_v6 is '10.0.0.1': expected an IPv6 address"),
        ("ens32", "[ens32]", "uplink is ['ens32']: expected text"),
        ("ens32", "a/b", "device 'a/b': expected 1 to 15"),
        ("10.244.0.0/24", "10.244.0.1/24", "pod_cidr is '10.244.0.1/24': expected an IPv4 range such as"),
        (
            "  address: 10.244.1.2",
            "- 10.244.1.2",
            "ztunnel is ['10.244.1.2']: expected a mapping with",
        ),
        ("  address: 10.244.1.2", "  device: v", "ztunnel.address is missing: expected an IPv4 address"),
        ("block", "reject", "when_ztunnel_is_gone is 'reject': expected one of plain, block"),
        ("capture_dns: true", "capture_dns: 1", "capture_dns is 1: expected true or false"),
        ("uid: uid-7", "uid: 7", "pods[0].uid is 7: expected text"),
        ("uid: uid-2", "uid: a b", "pod 10.244.0.2: uid 'a b': expected 1 to 63"),
        ("10.244.0.2", "10.244.0.7", "pod uid-2: address 10.244.0.7 is pod uid-7's: expected one of its own"),
        ("[veth9]", "veth9", "devices is 'veth9': expected a list of texts"),
        ("[veth9]", "[9]", "devices is [9]: expected a list of texts"),
        ("ranges:\n", "ranges: all\nnames:\n  x:\n", "syntax is wrong"),
        ("cidr: fd03::/64", "cidr: fd03::1/64", "ranges[1].cidr is 'fd03::1/64': expected a range such as"),
        ("node: fd50::133", "node: 10.0.0.1", "range fd03::/64: 10.0.0.1: expected an IPv6 address"),
        ("  dpu: fd50::128", "  cpu: x", "ranges[1].cpu is an unknown key: expected one of cidr, node, dpu"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(before: str, after: str, problem: str) -> None:
    assert FULL.count(before) >= 1
    with pytest.raises(InputError) as refused:
        parse_inputs(FULL.replace(before, after, 1), "node.yaml")
    where, _, rest = str(refused.value).partition(": ")
    assert where.split(":")[0] == "node.yaml"
    assert rest.startswith(problem)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("vxlan", "gre", "names.tunnel_type is 'gre': expected one of geneve, vxlan"),
        ("0x1000/0x1000", "0x1000", "names.outbound is 4096: expected a mark with its mask, such as"),
        ("0x1000/0x1000", "0x1/0x100000000", "names.outbound is '0x1/0x100000000': expected a mark with its"),
        ("0x1000/0x1000", "0x1000/0x100", "names: outbound is 0x1000/0x100: expected bits within its mask"),
        ("1100", "yes", "names.inbound_table is True: expected a whole number"),
        ("1100", "0", "names: inbound_table is 0: expected a table that the kernel does not use itself"),
        ("169.254.1.1/30", "tun", "names.inbound_address is 'tun': expected an address such as"),
        ("inbound_table", "table", "names.table is an unknown key: expected one of outbound, skip,"),
    ],
)
def test_names_that_cannot_be_used_are_refused(before: str, after: str, problem: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_names(FULL.replace(before, after, 1), "node.yaml")
    assert str(refused.value).startswith(f"node.yaml: {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "node.yaml: node file is None: expected a mapping with role,"),
        ("[]", "node.yaml: node file is []: expected a mapping with role,"),
        ("a: [\n", "node.yaml:2: syntax is wrong ("),
        ("\x00", "node.yaml: syntax is wrong ("),
        ("address: 2020-99-99", "node.yaml: syntax is wrong ("),
        ("[" * 5_000, "node.yaml: syntax is wrong ("),
        (f"- {'x' * 100}", f"node.yaml: node file is ['{'x' * 55}...: expected a mapping with role,"),
    ],
)
def test_what_is_no_node_file_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_inputs(text, "node.yaml")
    assert str(refused.value).startswith(problem)


@given(st.text(alphabet=st.sampled_from("role: cpu\n[]{}-,'\"1.0/x&*!#"), max_size=60))
def test_no_text_leads_to_another_error(text: str) -> None:
    for parse in (parse_inputs, parse_names):
        try:
            parse(text, "node.yaml")
        except InputError as refused:
            assert str(refused).startswith("node.yaml")
