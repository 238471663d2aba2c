"""What a node lacks for a program is found before anything is written, and named."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.datapath.real_kernels import NOTHING, dpu_node
from tests.datapath.step_cases import LINK
from tests.helpers.scratch_node import ScratchNode, needs_root
from xds_server.datapath.kernel import Kernel, MissingToolError, Ran, run
from xds_server.datapath.preflight import lacks
from xds_server.datapath.program import Chain, IpSet, PolicyRule, Table

pytestmark = needs_root

ROOT = Path(__file__).parents[2]
UNKNOWN_MATCH = ("-m", "nosuchmatch", "-j", "RETURN")
UNKNOWN_TARGET = ("-p", "tcp", "-j", "NOSUCHTARGET")
KNOWN = ("-p", "tcp", "-j", "RETURN")
ASK = """
import asyncio, json, sys
from tests.datapath.real_kernels import dpu_node
from xds_server.datapath.kernel import Kernel
from xds_server.datapath.preflight import lacks
print(json.dumps(asyncio.run(lacks(Kernel(), dpu_node()))))
"""


def lacks_when_run_by(*argv: str) -> list[str]:
    """Return what this node itself lacks for those whom a command lets run."""
    asked = subprocess.run(
        [*argv, sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(asked.stdout)
    return found


async def test_a_node_that_has_it_all_lacks_nothing_and_nothing_is_written(
    node: ScratchNode, kernel: Kernel
) -> None:
    before = node.everything(kernel.backend)
    assert await lacks(kernel, dpu_node()) == ()
    assert node.everything(kernel.backend) == before


async def test_missing_tools_are_all_named(kernel: Kernel) -> None:
    def without(argv: Sequence[str], stdin: str) -> Ran:
        if argv[0] == "ipset" or argv[0].endswith("-restore"):
            raise MissingToolError(f"{argv[0]}: there is no such command")
        return run(argv, stdin)

    assert await lacks(replace(kernel, run=without), dpu_node()) == (
        f"iptables-{kernel.backend}-restore: there is no such command",
        "ipset: there is no such command",
    )


def test_a_missing_right_is_named() -> None:
    without = ("setpriv", "--bounding-set", "-net_admin,-sys_admin", "--inh-caps", "-net_admin,-sys_admin")
    assert "the right to change the network (CAP_NET_ADMIN) is missing" in lacks_when_run_by(*without)


def test_sysctls_that_cannot_be_written_are_named() -> None:
    mount = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys"
    path = "/proc/sys/net/ipv4/conf/all/rp_filter"
    advice = "mount /proc/sys writable (a privileged container has it so)"
    assert lacks_when_run_by("unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh") == [
        f"{path} cannot be written: {advice}"
    ]


async def test_what_the_kernel_has_no_rule_for_is_named_once_each(kernel: Kernel) -> None:
    rules = (KNOWN, UNKNOWN_MATCH, UNKNOWN_MATCH, UNKNOWN_TARGET)
    chains = (Chain(Table.MANGLE, "ztunnel-A", rules), Chain(Table.NAT, "ztunnel-B", (KNOWN,)))
    found = await lacks(kernel, replace(NOTHING, chains=chains))
    assert [each.partition(": ")[0] for each in found] == [
        "mangle -m nosuchmatch -j RETURN",
        "mangle -p tcp -j NOSUCHTARGET",
    ]
    assert "nosuchmatch" in found[0].partition(": ")[2]


async def test_a_rule_that_the_kernel_refuses_is_named(kernel: Kernel) -> None:
    rule = PolicyRule(priority=100, table=101, family=6)
    again = replace(NOTHING, rules=(rule, rule))
    (told,) = await lacks(kernel, again)
    assert told.startswith("rule 100: File exists")


async def test_a_link_that_the_kernel_cannot_have_is_named(kernel: Kernel) -> None:
    wrong = replace(LINK, vni=2**24)
    (told,) = await lacks(kernel, replace(NOTHING, links=(wrong,)))
    assert told.startswith("link istioin: Numerical result out of range")


async def test_a_set_that_the_kernel_cannot_have_is_named_and_no_rule_for_lack_of_it(kernel: Kernel) -> None:
    program = replace(dpu_node(), sets=(IpSet("ztunnel-pods-ips", family="inet5"),))
    (told,) = await lacks(kernel, program)
    assert told.startswith("set ztunnel-pods-ips: ipset -exist restore: exit code 1: ")
