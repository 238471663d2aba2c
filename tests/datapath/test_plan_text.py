"""How a plan reads."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest

from tests.datapath.plan_examples import (
    ALL_SYSCTL,
    IN,
    IN_SYSCTL,
    MANGLE,
    MANGLE_JUMP,
    MARK_RULE,
    MARKED,
    NAT_JUMP,
    NODE,
    POD_1,
    POD_2,
    PODS,
    observed,
    planned,
)
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import NOTHING, Plan, plan, removal
from xds_server.datapath.plan_text import as_text, changes_text
from xds_server.datapath.program import Address, IpSet, PolicyRule, Program, Route, Sysctl

IN_TUNNEL = "remote 10.244.1.2 dstport 6081 address 192.168.126.1/30 mtu 1450"
FROM_NOTHING = """\
sysctls (2)
  + net/ipv4/conf/all/rp_filter = 0
  + net/ipv4/conf/istioin/rp_filter = 0
sets (1)
  + ztunnel-pods-ips hash:ip family inet
members (2)
  + ztunnel-pods-ips 10.244.0.2 uid-1
  + ztunnel-pods-ips 10.244.0.3 uid-2
links (1)
  + istioin type geneve id 1000 remote 10.244.1.2 dstport 6081 address 192.168.126.1/30 mtu 1450
routes (4)
  + default via 192.168.126.2 dev istioin table 101 proto 76
  + 10.244.1.2/32 dev veth1 scope link table 101 proto 76
  + 10.244.0.2/32 via 192.168.126.2 dev istioin src 10.244.1.1 table 100 proto 76
  + 10.244.0.3/32 via 192.168.126.2 dev istioin src 10.244.1.1 table 100 proto 76
rules (2)
  + priority 101 fwmark 0x100/0x100 lookup 101 protocol 76
  + priority 103 ipproto tcp lookup 100 protocol 76
chains (2)
  + mangle ztunnel-PREROUTING
      + -i istioin -j RETURN
      + -p tcp -m set --match-set ztunnel-pods-ips src -j MARK --set-xmark 0x100/0x100
  + nat ztunnel-PREROUTING
      + -m mark --mark 0x100/0x100 -j ACCEPT
jumps (2)
  + mangle PREROUTING to ztunnel-PREROUTING at 1
  + nat PREROUTING to ztunnel-PREROUTING at 1

# commands
sysctl -w net/ipv4/conf/all/rp_filter=0
ipset -exist restore <<'EOF'
create ztunnel-pods-ips hash:ip family inet comment
EOF
ip link add istioin type geneve id 1000 remote 10.244.1.2 dstport 6081
ip address add 192.168.126.1/30 dev istioin
ip link set istioin mtu 1450 up
sysctl -w net/ipv4/conf/istioin/rp_filter=0
ip route replace 10.244.1.2/32 dev veth1 scope link table 101 proto 76
ip route replace default via 192.168.126.2 dev istioin table 101 proto 76
ip rule add priority 101 fwmark 0x100/0x100 lookup 101 protocol 76
ip rule add priority 103 ipproto tcp lookup 100 protocol 76
iptables-nft-restore -w 5 --noflush <<'EOF'
*nat
:ztunnel-PREROUTING - [0:0]
-A ztunnel-PREROUTING -m mark --mark 0x100/0x100 -j ACCEPT
-I PREROUTING 1 -j ztunnel-PREROUTING
COMMIT
EOF
iptables-nft-restore -w 5 --noflush <<'EOF'
*mangle
:ztunnel-PREROUTING - [0:0]
-A ztunnel-PREROUTING -i istioin -j RETURN
-A ztunnel-PREROUTING -p tcp -m set --match-set ztunnel-pods-ips src -j MARK --set-xmark 0x100/0x100
-I PREROUTING 1 -j ztunnel-PREROUTING
COMMIT
EOF
conntrack -U --src 10.244.0.2 --mark 0x220/0x220  # only where the mark has no bit of 0x220 yet
conntrack -U --dst 10.244.0.2 --mark 0x220/0x220  # only where the mark has no bit of 0x220 yet
conntrack -U --reply-src 10.244.0.2 --mark 0x220/0x220  # only where the mark has no bit of 0x220 yet
conntrack -U --src 10.244.0.3 --mark 0x220/0x220  # only where the mark has no bit of 0x220 yet
conntrack -U --dst 10.244.0.3 --mark 0x220/0x220  # only where the mark has no bit of 0x220 yet
conntrack -U --reply-src 10.244.0.3 --mark 0x220/0x220  # only where the mark has no bit of 0x220 yet
ipset -exist restore <<'EOF'
add ztunnel-pods-ips 10.244.0.2 comment "uid-1"
add ztunnel-pods-ips 10.244.0.3 comment "uid-2"
EOF
ip route replace 10.244.0.2/32 via 192.168.126.2 dev istioin src 10.244.1.1 table 100 proto 76
ip route replace 10.244.0.3/32 via 192.168.126.2 dev istioin src 10.244.1.1 table 100 proto 76"""

REMOVAL_COMMANDS = """\
# commands
ip route delete 10.244.0.2/32 via 192.168.126.2 dev istioin src 10.244.1.1 table 100 proto 76
ip route delete 10.244.0.3/32 via 192.168.126.2 dev istioin src 10.244.1.1 table 100 proto 76
ipset -exist restore <<'EOF'
flush ztunnel-pods-ips
EOF
iptables-restore -w 5 --noflush <<'EOF'
*mangle
:ztunnel-PREROUTING - [0:0]
-D PREROUTING -j ztunnel-PREROUTING
-X ztunnel-PREROUTING
COMMIT
EOF
iptables-restore -w 5 --noflush <<'EOF'
*nat
:ztunnel-PREROUTING - [0:0]
-D PREROUTING -j ztunnel-PREROUTING
-X ztunnel-PREROUTING
COMMIT
EOF
ip rule delete priority 101 fwmark 0x100/0x100 lookup 101 protocol 76
ip rule delete priority 103 ipproto tcp lookup 100 protocol 76
ip route delete default via 192.168.126.2 dev istioin table 101 proto 76
ip route delete 10.244.1.2/32 dev veth1 scope link table 101 proto 76
ip link delete istioin
ipset -exist restore <<'EOF'
destroy ztunnel-pods-ips
EOF"""


def with_members(*members: tuple[Address, str]) -> Program:
    return replace(NODE, sets=(IpSet(PODS, frozenset(members)),))


def test_a_first_plan_tells_every_object_and_then_every_command() -> None:
    assert as_text(plan(Observed(held=NOTHING), NODE), "nft") == FROM_NOTHING


def test_a_removal_is_told_with_minus_and_the_tool_of_the_node() -> None:
    text = as_text(removal(observed()))
    changes, _, commands = text.partition("\n\n")
    assert commands == REMOVAL_COMMANDS
    signs = {line.strip()[0] for line in changes.splitlines() if line.startswith(" ")}
    assert signs == {"-"}


def test_a_converged_node_is_told_in_a_line() -> None:
    assert as_text(planned(observed())) == "nothing to do: the kernel holds example"


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        pytest.param(
            planned(observed(sysctls=(Sysctl(ALL_SYSCTL.path, "2"), IN_SYSCTL))),
            ["sysctls (1)", "  ~ net/ipv4/conf/all/rp_filter = 0 (is 2)"],
            id="a sysctl, with what it is",
        ),
        pytest.param(
            plan(observed(), with_members((POD_1, "uid-9"))),
            [
                "members (2)",
                "  - ztunnel-pods-ips 10.244.0.3 uid-2",
                "  ~ ztunnel-pods-ips 10.244.0.2 uid-9 (is uid-1)",
            ],
            id="members, those that leave first",
        ),
        pytest.param(
            planned(observed(links=(replace(IN, vni=7),))),
            [
                "links (1)",
                f"  ~ istioin type geneve id 1000 {IN_TUNNEL}",
                f"    (is istioin type geneve id 7 {IN_TUNNEL})",
            ],
            id="a link, above what it is",
        ),
        pytest.param(
            planned(observed(routes=(Route(table=101, blackhole=True), *NODE.routes[1:]))),
            [
                "routes (1)",
                "  ~ default via 192.168.126.2 dev istioin table 101 proto 76",
                "    (is blackhole default table 101 proto 76)",
            ],
            id="a route, above what it is",
        ),
        pytest.param(
            planned(observed(rules=(replace(MARKED, goto=32766, table=0), NODE.rules[1]))),
            [
                "rules (2)",
                "  - priority 101 fwmark 0x100/0x100 goto 32766 protocol 76",
                "  + priority 101 fwmark 0x100/0x100 lookup 101 protocol 76",
            ],
            id="rules, which have nothing but what they say",
        ),
        pytest.param(
            planned(
                observed(
                    {NAT_JUMP: (1,), MANGLE_JUMP: (2, 5)},
                    chains=(
                        replace(MANGLE, rules=(("-p", "udp", "-j", "RETURN"), MARK_RULE)),
                        *NODE.chains[1:],
                    ),
                )
            ),
            [
                "chains (1)",
                "  ~ mangle ztunnel-PREROUTING",
                "      - -p udp -j RETURN",
                "      + -i istioin -j RETURN",
                "jumps (1)",
                "  ~ mangle PREROUTING to ztunnel-PREROUTING at 1 (is 2, 5)",
            ],
            id="a chain by its rules that differ, a jump by its places",
        ),
        pytest.param(
            plan(Observed(held=NODE, jumps=observed().jumps, clashes=("table 101 is named vpn",)), NODE),
            ["in the way (1)", "  ! table 101 is named vpn", "nothing to do: the kernel holds example"],
            id="what is in the way, first of all",
        ),
    ],
)
def test_each_kind_of_change_is_told_in_its_own_words(made: Plan, expected: list[str]) -> None:
    assert changes_text(made).splitlines() == expected


def test_ipv6_is_told_apart_and_has_its_own_commands() -> None:
    rule = PolicyRule(priority=100, table=100, family=6)
    pod = IPv6Network("fd00::2/128")
    route = Route(table=100, destination=pod, via=IPv6Address("fd00::1"), device="ens32", family=6)
    default, default_6 = Route(table=100, device="ens32"), Route(table=100, device="ens32", family=6)
    wanted = Program(name="six", rules=(rule, replace(rule, family=4)), routes=(route, default, default_6))
    assert as_text(plan(Observed(held=NOTHING), wanted)).splitlines() == [
        "routes (3)",
        "  + fd00::2/128 via fd00::1 dev ens32 table 100 proto 76 (IPv6)",
        "  + default dev ens32 table 100 proto 76",
        "  + default dev ens32 table 100 proto 76 (IPv6)",
        "rules (2)",
        "  + priority 100 lookup 100 protocol 76 (IPv6)",
        "  + priority 100 lookup 100 protocol 76",
        "",
        "# commands",
        "ip -6 route replace fd00::2/128 via fd00::1 dev ens32 table 100 proto 76",
        "ip route replace default dev ens32 table 100 proto 76",
        "ip -6 route replace default dev ens32 table 100 proto 76",
        "ip -6 rule add priority 100 lookup 100 protocol 76",
        "ip rule add priority 100 lookup 100 protocol 76",
    ]


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (Route(table=100, device="lo", local=True), "local default dev lo table 100 proto 76"),
        (
            Route(table=102, via=IPv4Address("10.244.1.2"), device="veth1", onlink=True),
            "default via 10.244.1.2 dev veth1 table 102 proto 76 onlink",
        ),
    ],
)
def test_routes_are_written_as_iproute2_reads_them(route: Route, words: str) -> None:
    made = plan(Observed(held=NOTHING), Program(name="one", routes=(route,)))
    assert as_text(made).splitlines()[-1] == f"ip route replace {words}"


@pytest.mark.parametrize(
    ("word", "written"),
    [("two words", '"two words"'), ('a "b" \\', '"a \\"b\\" \\\\"'), ("", '""'), ("0x1/0x1", "0x1/0x1")],
)
def test_words_of_rules_are_quoted_as_iptables_restore_reads_them(word: str, written: str) -> None:
    chain = replace(MANGLE, rules=(("-m", "comment", "--comment", word),))
    made = planned(observed(), chains=(chain, *NODE.chains[1:]))
    assert f"-A ztunnel-PREROUTING -m comment --comment {written}" in as_text(made).splitlines()


def test_members_of_a_set_that_goes_are_not_told_one_by_one() -> None:
    held = Program(name="held", sets=with_members((POD_1, "uid-1"), (POD_2, "uid-2")).sets)
    assert changes_text(removal(Observed(held=held))).splitlines() == [
        "sets (1)",
        "  - ztunnel-pods-ips hash:ip family inet",
    ]
