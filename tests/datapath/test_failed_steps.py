"""A step that a real kernel refuses is named, with what the kernel or the tool said about it."""

from dataclasses import replace
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Interface

import pytest

from tests.datapath.real_kernels import content
from tests.datapath.step_cases import ASKED, CREATE, LINK, SETTING
from tests.helpers.scratch_node import UPLINK, ScratchNode, needs_root
from xds_server.datapath.execute import StepError, execute
from xds_server.datapath.kernel import Kernel
from xds_server.datapath.observe import observe
from xds_server.datapath.program import Mark, PolicyRule, Route, Sysctl, Table
from xds_server.datapath.steps import (
    AddLink,
    AddRule,
    ReplaceRoute,
    RestoreSets,
    RestoreTable,
    SetSysctl,
    Step,
)

pytestmark = needs_root

SIX = replace(LINK, address=IPv6Interface("fd00::1/64"))
NO_TARGET = RestoreTable(Table.MANGLE, ("*mangle", "-A PREROUTING -j ztunnel-GONE", "COMMIT"))
NO_SET = "-A PREROUTING -m set --match-set gone src -j ACCEPT"
GONE = "net/ipv4/conf/gone/rp_filter"
FAILURES: dict[str, tuple[Step, str]] = {
    "no such device": (
        SetSysctl(Sysctl(GONE, "0")),
        f"sysctl -w {GONE}=0: /proc/sys/{GONE}: No such file or directory",
    ),
    "a value that no sysctl takes": (
        SetSysctl(Sysctl(SETTING.path, "many")),
        f"sysctl -w {SETTING.path}=many: /proc/sys/{SETTING.path}: Invalid argument",
    ),
    "a member of no set": (
        RestoreSets((CREATE, "add nowhere 10.0.0.1")),
        "ipset: ipset -exist restore: exit code 1: *: Error in line 2: * not exist: add nowhere 10.0.0.1",
    ),
    "an address the link cannot have": (
        AddLink(SIX),
        "ip link add istioin *: address fd00::1/64: Permission denied*",
    ),
    "a link that is there": (AddLink(replace(LINK, name=UPLINK)), f"ip link add {UPLINK} *: File exists*"),
    "a route through no device": (
        ReplaceRoute(Route(table=100, device="gone")),
        "ip route replace default dev gone table 100 proto 76: there is no device gone",
    ),
    "a route by what cannot be reached": (
        ReplaceRoute(Route(table=100, via=IPv4Address("9.9.9.9"), device=UPLINK)),
        "ip route replace default via 9.9.9.9 *: Network is unreachable (Nexthop has invalid gateway)",
    ),
    "a rule that is there": (
        AddRule(PolicyRule(priority=101, fwmark=Mark(1, 1), table=101)),
        "ip rule add priority 101 fwmark 0x1/0x1 lookup 101 protocol 76: File exists*",
    ),
    "a target that is not there": (
        NO_TARGET,
        "iptables mangle: iptables-*-restore -w 5 --noflush: exit code *ztunnel-GONE*",
    ),
    "a set that is not there": (
        RestoreTable(Table.MANGLE, ("*mangle", NO_SET, "COMMIT")),
        f"iptables mangle: iptables-*-restore -w 5 --noflush: exit code *Set gone doesn't exist*: {NO_SET}",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_step_that_fails_is_named_with_what_was_said(
    name: str, node: ScratchNode, kernel: Kernel
) -> None:
    step, expected = FAILURES[name]
    node.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    node.ip("rule add priority 101 fwmark 0x1/0x1 lookup 101 protocol 76")
    before = content(await observe(kernel, ASKED))
    with pytest.raises(StepError) as failed:
        await execute(kernel, [step])
    assert fnmatchcase(str(failed.value), f"step 1 of 1, {expected}"), str(failed.value)
    if not isinstance(step, RestoreSets):
        assert content(await observe(kernel, ASKED)) == before
