"""What is observed of a real kernel, beside what is tried with each step."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from tests.datapath.real_kernels import NOTHING, VXLAN_NAMES, content, dpu_node, hold, planned
from tests.datapath.step_cases import LINK, TABLE
from tests.helpers.scratch_node import UPLINK, ScratchNode, needs_root
from xds_server.datapath.execute import execute
from xds_server.datapath.kernel import Kernel, Ran, ToolError, run
from xds_server.datapath.observe import observe
from xds_server.datapath.observed import Observed
from xds_server.datapath.program import Jump, PolicyRule, Program, Route, Sysctl, Table
from xds_server.datapath.steps import AddLink, AddRule, ReplaceRoute, RestoreTable

pytestmark = needs_root


async def test_nothing_of_ours_is_observed_on_a_node_that_has_none(kernel: Kernel) -> None:
    assert await observe(kernel, NOTHING) == Observed(held=Program(name="held"))


async def test_observing_changes_nothing(node: ScratchNode, kernel: Kernel) -> None:
    before = node.everything(kernel.backend)
    observed = await observe(kernel, dpu_node(), VXLAN_NAMES)
    assert observed.clashes == ()
    assert node.everything(kernel.backend) == before


async def test_a_program_is_observed_as_it_was_wanted(kernel: Kernel) -> None:
    wanted = dpu_node()
    await hold(kernel, wanted)
    observed = await observe(kernel, wanted, VXLAN_NAMES)
    as_wanted = Observed(held=wanted, jumps=dict.fromkeys(wanted.jumps, (1,)))
    assert content(observed) == content(as_wanted)


async def test_objects_are_ours_whatever_is_wanted(kernel: Kernel) -> None:
    wanted = dpu_node()
    await hold(kernel, wanted)
    found, asked = (
        content(await observe(kernel, NOTHING, VXLAN_NAMES)),
        content(await observe(kernel, wanted)),
    )
    links = {sysctl for sysctl in asked["sysctls"] if "/istio" in sysctl.path}
    assert found == asked | {"sysctls": links}


async def test_sysctls_of_links_are_observed_so_that_they_can_be_put_back(
    node: ScratchNode, kernel: Kernel
) -> None:
    await execute(kernel, [AddLink(LINK)])
    node.run("sysctl", "-qw", "net/ipv4/conf/istioin/rp_filter=2", "net/ipv4/conf/istioin/accept_local=1")
    assert set((await observe(kernel, NOTHING)).held.sysctls) == {
        Sysctl("net/ipv4/conf/istioin/rp_filter", "2"),
        Sysctl("net/ipv4/conf/istioin/accept_local", "1"),
    }


async def test_jumps_are_observed_where_they_are(node: ScratchNode, kernel: Kernel) -> None:
    await execute(kernel, [RestoreTable(Table.MANGLE, TABLE)])
    node.restore(
        kernel.backend,
        "mangle",
        "-I PREROUTING 1 -i lo -j ACCEPT",
        "-A PREROUTING -j ztunnel-PREROUTING",
        "-A PREROUTING -i lo -j ztunnel-PREROUTING",
    )
    observed = await observe(kernel, NOTHING)
    # Between the two is the rule of others.
    assert observed.jumps == {Jump(Table.MANGLE, "PREROUTING", "ztunnel-PREROUTING"): (2, 4)}
    told = "mangle: -A PREROUTING -i lo -j ztunnel-PREROUTING: leads to a chain of ours, and is not ours"
    assert observed.clashes == (told,)


@pytest.mark.parametrize(
    ("words", "clash"),
    [
        ("rule add priority 101 fwmark 0x100/0x100 lookup 101", "its priority is one of ours"),
        ("rule add priority 7 from 10.0.0.1 iif lo lookup 101", "its table is one of ours"),
        ("rule add priority 7 fwmark 0x200/0xf00 lookup 7", "asks for bits of marks, of which ours are made"),
        ("rule add priority 7 not from 10.0.0.1 lookup 100 protocol 76", "its table is one of ours"),
        (f"route add 10.0.0.0/8 via 192.168.50.2 dev {UPLINK} table 100", "its table is one of ours"),
        (f"route add default via 192.168.50.2 dev {UPLINK} table 101", "it is where one of ours shall be"),
        (
            f"route add default dev {UPLINK} table 7 metric 5 proto 76",
            "it has our protocol number, and is not as ours are",
        ),
        (
            "route add prohibit 10.0.0.0/8 table 7 proto 76",
            "it has our protocol number, and is not as ours are",
        ),
        (
            f"route add 10.0.0.0/8 dev {UPLINK} mtu 1400 table 7 proto 76",
            "it has our protocol number, and is not as ours are",
        ),
        ("link add istioin type veth peer name other", "its type is veth: it is no tunnel of ours"),
        (
            "link add x type vxlan id 1000 remote 10.0.0.9 dstport 6081",
            "vxlan with vni 1000 at port 6081, where istioin shall be",
        ),
        (
            "link add x type vxlan external dstport 6081",
            "vxlan with any vni at port 6081, where istioin shall be",
        ),
        (f"address add 192.168.127.2/24 dev {UPLINK}", "is of the network 192.168.127.0/30 of istioout"),
    ],
)
async def test_what_others_have_in_our_place_is_named(
    words: str, clash: str, node: ScratchNode, kernel: Kernel
) -> None:
    node.ip(words)
    told = (await observe(kernel, dpu_node(), VXLAN_NAMES)).clashes
    assert any(clash in each for each in told), told


async def test_a_set_of_another_type_is_named_and_not_read(node: ScratchNode, kernel: Kernel) -> None:
    node.run("ipset", "create", "ztunnel-pods-ips", "hash:net")
    observed = await observe(kernel, dpu_node(), VXLAN_NAMES)
    assert observed.clashes == ("set ztunnel-pods-ips: its type is hash:net, not hash:ip: it is not ours",)
    assert observed.held.sets == ()


async def test_a_rule_of_others_that_changes_our_marks_is_named(node: ScratchNode, kernel: Kernel) -> None:
    node.restore(kernel.backend, "mangle", "-A PREROUTING -j CONNMARK --restore-mark")
    (told,) = (await observe(kernel, dpu_node(), VXLAN_NAMES)).clashes
    rule = "mangle: -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff"
    assert told == f"{rule}: changes 0x370 of marks, of which ours are made"


async def test_both_families_are_observed(node: ScratchNode, kernel: Kernel) -> None:
    rules = [PolicyRule(priority=101, table=101, family=family) for family in (4, 6)]
    routes = [Route(table=101, blackhole=True, family=family) for family in (4, 6)]
    await execute(kernel, [*map(AddRule, rules), *map(ReplaceRoute, routes)])
    held = (await observe(kernel, NOTHING)).held
    assert (set(held.rules), set(held.routes)) == (set(rules), set(routes))


async def test_a_tool_that_fails_is_told(kernel: Kernel) -> None:
    def fails(argv: Sequence[str], stdin: str) -> Ran:
        return Ran(tuple(argv), 1, "", "no") if argv[0] == "ipset" else run(argv, stdin)

    with pytest.raises(ToolError, match=r"^ipset list -n: exit code 1: no$"):
        await observe(replace(kernel, run=fails), NOTHING)


async def test_what_somebody_changed_is_planned_back(node: ScratchNode, kernel: Kernel) -> None:
    wanted = dpu_node()
    await hold(kernel, wanted)
    for words in (
        "link delete istioout",
        "route delete 10.244.0.2 table 100",
        "rule delete priority 102",
        "address delete 192.168.126.1/30 dev istioin",
    ):
        node.ip(words)
    node.run("ipset", "del", "ztunnel-pods-ips", "10.244.0.7")
    node.run("sysctl", "-qw", f"net/ipv4/conf/{UPLINK}/rp_filter=1")
    node.restore(kernel.backend, "mangle", "-D ztunnel-PREROUTING 3", "-D PREROUTING -j ztunnel-PREROUTING")
    assert len((await planned(kernel, wanted)).steps) > 6
    await hold(kernel, wanted)
    assert (await planned(kernel, wanted)).steps == ()
    assert IPv4Address("10.244.0.7") in {
        address for address, _ in (await observe(kernel, wanted)).held.sets[0].members
    }
