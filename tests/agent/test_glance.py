"""What a glance at a kernel sees: what the kernel has no news of."""

from dataclasses import replace

import pytest

from tests.datapath.nodes import DPU
from tests.datapath.real_kernels import dpu_node, hold
from tests.helpers.scratch_node import UPLINK, ScratchNode, add_things_of_others, needs_root, scratch_node
from xds_server.agent.glance import glance
from xds_server.datapath.kernel import Backend, Kernel, within
from xds_server.datapath.program import Program

pytestmark = needs_root

PROGRAM = dpu_node()


async def seen(kernel: Kernel, program: Program = PROGRAM) -> bytes:
    return await within(kernel, lambda place: glance(place, program, "ztunnel-"))


@pytest.fixture
async def kernel(node: ScratchNode) -> Kernel:
    made = Kernel(node.name)
    await hold(made, PROGRAM)
    return made


@pytest.mark.parametrize(
    "command",
    [
        "ipset add ztunnel-pods-ips 10.9.9.9",
        "ipset del ztunnel-pods-ips 10.244.0.7",
        "ipset -exist add ztunnel-pods-ips 10.244.0.7 comment other",
        "ipset flush ztunnel-pods-ips",
        f"sysctl -qw net/ipv4/conf/{UPLINK}/send_redirects=1",
        "sysctl -qw net/ipv4/conf/istioin/accept_local=0",
        "ip link delete istioin",
    ],
)
async def test_what_drifts_without_news_is_seen(command: str, kernel: Kernel, node: ScratchNode) -> None:
    before = await seen(kernel)
    node.run(*command.split())
    assert await seen(kernel) != before


async def test_a_set_that_is_gone_is_seen(node: ScratchNode) -> None:
    kernel = Kernel(node.name)
    node.run("ipset", "create", "ztunnel-pods-ips", "hash:ip", "comment")
    before = await seen(kernel)
    node.run("ipset", "destroy", "ztunnel-pods-ips")
    assert await seen(kernel) != before


@pytest.mark.parametrize(
    "command",
    [
        "true",
        "ipset add others 192.0.2.0/24",
        f"sysctl -qw net/ipv4/conf/{UPLINK}/arp_ignore=1",
        "iptables-nft -t mangle -A OUTPUT -j ACCEPT",
        "ip rule delete priority 101",
    ],
)
async def test_what_is_not_ours_and_what_is_news_is_not_seen(
    command: str, kernel: Kernel, node: ScratchNode
) -> None:
    before = await seen(kernel)
    node.run(*command.split())
    assert await seen(kernel) == before


@pytest.mark.parametrize(
    "command",
    [
        "-t mangle -D PREROUTING -j ztunnel-PREROUTING",
        "-t mangle -F ztunnel-PREROUTING",
        "-t mangle -D ztunnel-PREROUTING 1",
        "-t mangle -I PREROUTING -j ACCEPT",
    ],
)
async def test_of_the_older_iptables_there_is_no_news_so_its_rules_are_seen(command: str) -> None:
    with scratch_node() as node:
        add_things_of_others(node, "legacy")
        kernel = Kernel(node.name, Backend.LEGACY)
        await hold(kernel, PROGRAM)
        before = await seen(kernel)
        # Counters, and the time of day, are no drift.
        _send(node)
        assert await seen(kernel) == before
        node.run("iptables-legacy", *command.split())
        assert await seen(kernel) != before


async def test_packets_are_no_drift(kernel: Kernel, node: ScratchNode) -> None:
    before = await seen(kernel)
    _send(node)
    assert await seen(kernel) == before


def _send(node: ScratchNode) -> None:
    node.run("bash", "-c", "echo > /dev/udp/192.168.50.131/9")


async def test_two_glances_at_one_thing_are_alike_whatever_was_there_between(
    kernel: Kernel, node: ScratchNode
) -> None:
    before = await seen(kernel)
    await hold(kernel, dpu_node(replace(DPU, pods=DPU.pods[:1])))
    assert await seen(kernel) != before
    await hold(kernel, PROGRAM)
    assert await seen(kernel) == before
