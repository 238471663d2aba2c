"""What ``ipset save`` prints, read."""

from ipaddress import ip_address

import pytest

from xds_server.datapath.observe_sets import SeenSet, read_sets
from xds_server.datapath.program import Address, IpSet

OPTIONS = "hashsize 1024 maxelem 65536 bucketsize 12 initval 0x5e958e0c"


def member(address: str, comment: str = "") -> tuple[Address, str]:
    return ip_address(address), comment


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ("", []),
        (f"create p hash:ip family inet comment {OPTIONS}", [SeenSet(IpSet("p"))]),
        (
            f'create p hash:ip family inet comment {OPTIONS}\nadd p 10.0.0.1 comment "a b"\nadd p 10.0.0.2\n',
            [SeenSet(IpSet("p", frozenset({member("10.0.0.1", "a b"), member("10.0.0.2")})))],
        ),
        (
            f'create p hash:ip family inet6 counters comment {OPTIONS}\nadd p fd00::1 packets 0 comment "a"',
            [SeenSet(IpSet("p", frozenset({member("fd00::1", "a")}), "inet6"))],
        ),
        (
            f"create p hash:ip family inet comment {OPTIONS}\ncreate q hash:ip family inet comment {OPTIONS}",
            [SeenSet(IpSet("p")), SeenSet(IpSet("q"))],
        ),
        (
            f"create p hash:net family inet comment {OPTIONS}\nadd p 10.0.0.0/8",
            [SeenSet(IpSet("p"), "its type is hash:net, not hash:ip")],
        ),
        (
            f"create p hash:ip family inet {OPTIONS}\nadd p 10.0.0.1",
            [SeenSet(IpSet("p"), "its members have no comments")],
        ),
        (
            f"create p hash:ip family inet timeout 60 comment {OPTIONS}\nadd p 10.0.0.1 timeout 59",
            [SeenSet(IpSet("p"), "it has a timeout")],
        ),
        (
            f"create p hash:ip family inet netmask 24 comment {OPTIONS}\nadd p 10.0.0.0",
            [SeenSet(IpSet("p"), "it has a netmask")],
        ),
    ],
)
def test_sets_are_read_with_their_members(saved: str, expected: list[SeenSet]) -> None:
    assert list(read_sets(saved)) == expected
