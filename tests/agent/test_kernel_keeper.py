"""A kernel that is made to hold a program, and goes on holding it."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.agent.watched_kernel import LOOK, SETS, WatchedKernel
from tests.datapath.nodes import DPU
from tests.datapath.real_kernels import VXLAN_NAMES, content, dpu_node
from tests.helpers.scratch_node import ScratchNode, add_things_of_others, needs_root, scratch_node
from xds_server.agent.kernel_keeper import KernelKeeper
from xds_server.datapath.changes import Change
from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange
from xds_server.datapath.kernel import Backend
from xds_server.datapath.observe import observe
from xds_server.datapath.plan_text import change_line
from xds_server.datapath.program import Program
from xds_server.datapath.programs import PROGRAMS
from xds_server.datapath.programs.combine import combine
from xds_server.exceptions import KernelError

pytestmark = needs_root


class Kept:
    """A keeper on a node, with what it does to the kernel."""

    def __init__(self, node: ScratchNode, backend: Backend | None = Backend.NFT) -> None:
        self.node = node
        self.watched = WatchedKernel(node.name)
        self.keeper = KernelKeeper(self.watched.kernel, VXLAN_NAMES, backend)
        self.keeper.before_look = self.watched.look

    async def hold(self, program: Program) -> list[str]:
        """Return what was changed, a line each, in no order."""
        return _lines(await self.keeper.hold(program, VXLAN_NAMES))

    async def holds(self, program: Program) -> bool:
        """Tell whether the kernel holds it: there is nothing of ours beside it."""
        seen = content(await observe(self.keeper.kernel, program, VXLAN_NAMES))
        kinds = ("links", "sets", "chains", "rules", "routes")
        is_so = all(seen[kind] == set(getattr(program, kind)) for kind in kinds)
        return is_so and set(program.sysctls) <= seen["sysctls"] and set(seen["jumps"]) == set(program.jumps)


def _lines(changes: tuple[Change, ...]) -> list[str]:
    return sorted(" ".join(change_line(each).split()) for each in changes)


def with_pods(*last: int, inputs: NodeInputs = DPU) -> NodeInputs:
    pods = (MeshedPod(address=IPv4Address(f"10.244.0.{each}"), uid=f"uid-{each}") for each in last)
    return replace(inputs, pods=tuple(pods))


def joined(*last: int) -> list[str]:
    """Return the changes by which pods join."""
    members = [f"+ member ztunnel-pods-ips 10.244.0.{each} uid-{each}" for each in last]
    by_tunnel = "via 192.168.126.2 dev istioin src 10.244.1.1 table 100 proto 76"
    return sorted(members + [f"+ route 10.244.0.{each}/32 {by_tunnel}" for each in last])


@pytest.fixture
def kept(node: ScratchNode) -> Kept:
    return Kept(node)


async def test_what_is_wanted_is_held_and_then_there_is_nothing_to_do(kept: Kept, node: ScratchNode) -> None:
    others = node.others("nft")
    assert await kept.hold(dpu_node())
    assert await kept.holds(dpu_node())
    kept.watched.take()
    assert await kept.hold(dpu_node()) == []
    assert kept.watched.take() == [LOOK]
    assert node.others("nft") == others


async def test_pods_that_come_and_go_cost_no_look_in_advance(kept: Kept) -> None:
    await kept.hold(dpu_node())
    kept.watched.take()
    changes = await kept.hold(dpu_node(with_pods(7, 8)))
    assert len(changes) == 4
    done = kept.watched.take()
    assert done[0] == SETS
    assert done.count(LOOK) == 1
    assert done[-1] == LOOK
    assert await kept.holds(dpu_node(with_pods(7, 8)))


async def test_a_pod_of_the_node_itself_that_has_a_device_costs_none_either(kept: Kept) -> None:
    """Its device has settings."""
    await kept.hold(dpu_node())
    own = MeshedPod(address=IPv4Address("10.244.1.9"), uid="uid-own", device="dev.7")
    kept.watched.take()
    assert "+ sysctl net/ipv4/conf/dev.7/rp_filter = 0" in await kept.hold(
        dpu_node(replace(DPU, pods=(*DPU.pods, own)))
    )
    assert kept.watched.take()[-1] == LOOK


def _other_chains(inputs: NodeInputs) -> Program:
    return dpu_node(replace(inputs, capture_dns=True))


def _other_main(inputs: NodeInputs) -> Program:
    far = PodRange(cidr=IPv4Network("10.9.0.0/24"), node=IPv4Address("192.168.50.9"))
    return combine(dpu_node(inputs), PROGRAMS["pod_routes"](replace(inputs, ranges=(far,)), VXLAN_NAMES))


def _nothing(_inputs: NodeInputs) -> Program:
    return Program(name="nothing")


@pytest.mark.parametrize("other", [_other_chains, _other_main, _nothing])
async def test_whatever_else_changes_is_looked_at_first(
    kept: Kept, other: Callable[[NodeInputs], Program]
) -> None:
    await kept.hold(dpu_node())
    kept.watched.take()
    await kept.hold(other(with_pods(8)))
    assert kept.watched.take()[0] == LOOK
    assert await kept.holds(other(with_pods(8)))


DRIFTS = {
    "a rule": ("ip rule delete priority 101", ["+ rule priority 101 fwmark 0x100/0x100"]),
    "a route": (
        "ip route flush table 102",
        ["+ route default via 10.244.1.2 dev", "+ route 10.244.1.2/32 dev"],
    ),
    "a link": ("ip link delete istioin", ["+ link istioin", "+ route 10.244.0.2/32 via 192.168.126.2"]),
    "a member of the set": (
        "ipset del ztunnel-pods-ips 10.244.0.7",
        ["+ member ztunnel-pods-ips 10.244.0.7"],
    ),
    "a jump": ("iptables-nft -t mangle -D PREROUTING -j ztunnel-PREROUTING", ["+ jump mangle PREROUTING"]),
    "a chain": ("iptables-nft -t mangle -F ztunnel-PREROUTING", ["~ chain mangle ztunnel-PREROUTING"]),
    "a sysctl": ("sysctl -qw net/ipv4/conf/ens32/send_redirects=1", ["send_redirects"]),
}


@pytest.mark.parametrize("drift", DRIFTS)
async def test_what_others_did_meanwhile_costs_a_second_round_and_no_more(
    kept: Kept, node: ScratchNode, drift: str
) -> None:
    command, expected = DRIFTS[drift]
    await kept.hold(dpu_node())
    node.run(*command.split())
    kept.watched.take()
    changes = await kept.hold(dpu_node(with_pods(2, 7, 8)))
    for words in expected:
        assert any(words in change for change in changes), changes
    assert kept.watched.take().count(LOOK) <= 2
    assert await kept.holds(dpu_node(with_pods(2, 7, 8)))


async def test_what_was_done_without_a_look_and_is_refused_is_done_with_one(kept: Kept) -> None:
    await kept.hold(dpu_node())
    refused: list[str] = []

    def fails_once(argv: object, stdin: str) -> bool:
        is_first = "10.244.0.8" in stdin and not refused
        refused.extend([stdin] * is_first)
        return is_first

    kept.watched.fails = fails_once
    kept.watched.take()
    assert await kept.hold(dpu_node(with_pods(2, 7, 8))) == joined(8)
    assert kept.watched.take().count(LOOK) == 2
    assert refused
    assert await kept.holds(dpu_node(with_pods(2, 7, 8)))


async def test_a_step_that_fails_is_named_and_the_node_is_as_it_was(kept: Kept, node: ScratchNode) -> None:
    await kept.hold(dpu_node())
    before, other = node.everything("nft"), replace(DPU, capture_dns=True)
    kept.watched.fails = lambda argv, stdin: argv[0].endswith("restore") and "*nat" in stdin
    with pytest.raises(
        KernelError, match=r"^step \d+ of \d+, iptables nat.*refused; all is put back as it was"
    ):
        await kept.hold(dpu_node(other))
    assert node.everything("nft") == before
    kept.watched.fails = lambda _argv, _stdin: False
    await kept.hold(dpu_node(other))
    assert await kept.holds(dpu_node(other))


async def test_after_a_failure_nothing_that_was_seen_is_taken_for_granted(kept: Kept) -> None:
    await kept.hold(dpu_node())
    kept.watched.fails = lambda _argv, stdin: "10.244.0.8" in stdin
    with pytest.raises(KernelError, match="refused"):
        await kept.hold(dpu_node(with_pods(2, 7, 8)))
    kept.watched.fails = lambda _argv, _stdin: False
    kept.watched.take()
    await kept.hold(dpu_node(with_pods(2, 7, 9)))
    assert kept.watched.take()[0] == LOOK
    assert await kept.holds(dpu_node(with_pods(2, 7, 9)))


async def test_a_kernel_that_does_not_do_what_it_says_is_told_of(kept: Kept) -> None:
    kept.watched.ignores = lambda argv, stdin: argv[0].endswith("restore") and "*nat" in stdin
    with pytest.raises(KernelError, match=r"^all steps are done, and the kernel still differs:") as raised:
        await kept.hold(dpu_node())
    assert "ztunnel-" in str(raised.value)
    assert kept.watched.take().count(LOOK) == 3


CLASHES = {
    "rule add priority 101 from 10.9.9.9 lookup 500": "101",
    "route add 10.9.9.9/32 dev ens32 table 102": "table 102",
    "link add istioin type veth peer name other": "istioin",
}


@pytest.mark.parametrize("clash", CLASHES)
async def test_where_others_are_in_the_way_nothing_is_written_until_they_are_not(
    kept: Kept, node: ScratchNode, clash: str
) -> None:
    node.ip(clash)
    before = node.everything("nft")
    with pytest.raises(KernelError, match=rf"^others are in the way: .*{CLASHES[clash]}"):
        await kept.hold(dpu_node())
    assert node.everything("nft") == before
    assert kept.watched.take() == [LOOK]
    node.ip(clash.replace("add", "delete", 1).partition(" type")[0])
    await kept.hold(dpu_node())
    assert await kept.holds(dpu_node())


async def test_what_the_node_lacks_is_told_before_anything_is_written(kept: Kept, node: ScratchNode) -> None:
    kept.watched.without = {"iptables-nft-restore"}
    before = node.everything("nft")
    with pytest.raises(
        KernelError, match=r"^the node lacks something: iptables-nft-restore: there is no such command"
    ):
        await kept.hold(dpu_node())
    assert node.everything("nft") == before
    kept.watched.without = set()
    await kept.hold(dpu_node())
    assert await kept.holds(dpu_node())


async def test_whether_the_node_lacks_something_is_tried_once_for_a_program(kept: Kept) -> None:
    await kept.hold(dpu_node())
    asked: list[str] = []

    def note(argv: object, _stdin: str) -> bool:
        asked.append(" ".join(map(str, argv)))  # type: ignore[call-overload]
        return False

    kept.watched.fails = note
    await kept.hold(dpu_node(replace(DPU, capture_dns=True)))
    assert asked
    assert not any("--version" in one for one in asked)


async def test_nothing_of_ours_is_left_by_a_removal_and_others_keep_theirs(
    kept: Kept, node: ScratchNode
) -> None:
    others = node.others("nft")
    await kept.hold(dpu_node())
    assert await kept.keeper.remove()
    assert "ztunnel-" not in node.everything("nft")
    assert node.others("nft") == others
    assert await kept.keeper.remove() == ()
    await kept.hold(dpu_node())
    assert await kept.holds(dpu_node())


async def test_what_an_agent_before_this_one_left_is_held_and_removed_as_its_own(
    kept: Kept, node: ScratchNode
) -> None:
    await kept.hold(dpu_node())
    assert await Kept(node).hold(dpu_node(with_pods(2, 7, 8))) == joined(8)
    assert await Kept(node).keeper.remove()
    assert "ztunnel-" not in node.everything("nft")


@pytest.mark.parametrize("wanted", [None, Backend.LEGACY])
async def test_the_backend_is_the_nodes_or_the_one_that_is_asked_for(wanted: Backend | None) -> None:
    with scratch_node() as node:
        add_things_of_others(node, "legacy")
        kept = Kept(node, wanted)
        assert (await kept.keeper.detect()).backend is Backend.LEGACY
        await kept.hold(dpu_node())
        assert any("ztunnel-PREROUTING" in line for line in node.saved("legacy"))
        assert not any("ztunnel-" in line for line in node.saved("nft"))
        assert await kept.holds(dpu_node())
        # Whoever has not looked yet removes what is there, wherever it is.
        await Kept(node, None).keeper.remove()
        assert "ztunnel-" not in node.everything("legacy")


async def test_rules_of_ours_in_the_other_backend_are_not_doubled(kept: Kept, node: ScratchNode) -> None:
    await kept.hold(dpu_node())
    with pytest.raises(
        KernelError, match="iptables-legacy is asked for, and chains of ours are in iptables-nft"
    ):
        await Kept(node, Backend.LEGACY).hold(dpu_node())
