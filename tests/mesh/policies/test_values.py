"""Values of conditions: what text stands for, and what text stands for nothing."""

from ipaddress import ip_address

import pytest
from google.protobuf.empty_pb2 import Empty

from xds_server.mesh.policies.values import ip_block, port, service_account, string_match
from xds_server.protobuf.workloadapi.security.authorization_pb2 import StringMatch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", StringMatch(presence=Empty())),
        ("*suffix", StringMatch(suffix="suffix")),
        ("prefix*", StringMatch(prefix="prefix")),
        ("*both*", StringMatch(suffix="both*")),
        ("**", StringMatch(suffix="*")),
        ("in*side", StringMatch(exact="in*side")),
        ("cluster.local/ns/a/sa/b", StringMatch(exact="cluster.local/ns/a/sa/b")),
        ("spiffe://cluster.local/ns/a/sa/b", StringMatch(exact="spiffe://cluster.local/ns/a/sa/b")),
    ],
)
def test_a_star_stands_for_any_text_at_one_end_or_alone(text: str, expected: StringMatch) -> None:
    assert string_match(text, "ns1") == expected


@pytest.mark.parametrize(
    ("text", "namespace", "account"),
    [
        ("ns2/sleep", "ns2", "sleep"),
        ("sleep", "ns1", "sleep"),
    ],
)
def test_a_service_account_without_namespace_is_of_the_policys_own(
    text: str, namespace: str, account: str
) -> None:
    read = service_account(text, "ns1")
    assert (read.namespace, read.serviceAccount) == (namespace, account)


@pytest.mark.parametrize(
    ("text", "address", "length"),
    [
        ("10.0.0.1", "10.0.0.1", 32),
        ("2001:db8::1", "2001:db8::1", 128),
        ("10.0.0.5/24", "10.0.0.5", 24),
        ("2001:db8::5/64", "2001:db8::5", 64),
        ("0.0.0.0/0", "0.0.0.0", 0),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1", 128),
    ],
)
def test_a_block_keeps_its_address_as_written(text: str, address: str, length: int) -> None:
    read = ip_block(text, "ns1")
    assert (read.address, read.length) == (ip_address(address).packed, length)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("80", 80), ("65535", 65535), ("0080", 80)])
def test_a_port_is_a_decimal_number(text: str, number: int) -> None:
    assert port(text, "ns1") == number


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (string_match, ""),
        (string_match, "\ud800"),
        (service_account, ""),
        (service_account, "/sleep"),
        (service_account, "ns2/"),
        (service_account, "ns2/a/b"),
        (service_account, "*"),
        (service_account, "\ud800"),
        (ip_block, ""),
        (ip_block, "10.0.0"),
        (ip_block, "10.0.0.01"),
        (ip_block, "10.0.0.1/33"),
        (ip_block, "10.0.0.0/255.0.0.0"),
        (ip_block, "10.0.0.0/08"),
        (ip_block, "10.0.0.0/"),
        (ip_block, "10.0.0.0/+8"),
        (ip_block, "fe80::1%eth0"),
        (ip_block, "2001:db8::/129"),
        (port, ""),
        (port, "http"),
        (port, "65536"),
        (port, "-1"),
        (port, "+80"),
        (port, "8_0"),
        (port, " 80"),
        (port, "80\n"),
        (port, "٨٠"),
        (port, "9" * 5000),
    ],
)
def test_what_stands_for_nothing_is_refused(read: object, text: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError):
        read(text, "ns1")
