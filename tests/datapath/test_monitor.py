"""News of what changes in a kernel's network."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator

import pytest

from tests.datapath.real_kernels import NOTHING, dpu_node, hold
from tests.helpers.scratch_node import UPLINK, ScratchNode, needs_root
from xds_server.datapath.kernel import Backend, Kernel
from xds_server.datapath.monitor import LOST, Monitor, monitored
from xds_server.exceptions import KernelError

pytestmark = needs_root


@pytest.fixture
async def monitor(node: ScratchNode) -> AsyncIterator[Monitor]:
    async with monitored(Kernel(node.name), "ztunnel-", quiet=0.02) as made:
        yield made


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (f"link set {UPLINK} mtu 1400", "link"),
        (f"address add 10.0.0.1/8 dev {UPLINK}", "address"),
        (f"-6 address add fd00::1/64 dev {UPLINK}", "address"),
        (f"route add 10.0.0.0/8 via 192.168.50.2 dev {UPLINK} table 101", "route"),
        ("-6 route add blackhole fd00::/64", "route"),
        ("rule add priority 101 lookup 101", "rule"),
        ("-6 rule add priority 101 lookup 101", "rule"),
    ],
)
async def test_a_change_is_told_by_its_kind(
    words: str, kind: str, node: ScratchNode, monitor: Monitor
) -> None:
    node.ip(words)
    assert kind in await monitor.changed()


async def test_a_sysctl_that_the_kernel_tells_of_is_told(node: ScratchNode, monitor: Monitor) -> None:
    node.run("sysctl", "-qw", f"net/ipv4/conf/{UPLINK}/rp_filter=2")
    assert await monitor.changed() == {"sysctl"}


async def test_chains_of_ours_are_told_and_those_of_others_are_not(
    node: ScratchNode, monitor: Monitor
) -> None:
    node.restore("nft", "mangle", ":ztunnel-PREROUTING - [0:0]", "-I PREROUTING -j ztunnel-PREROUTING")
    assert await monitor.changed() == {"chain"}
    node.restore("nft", "mangle", ":OTHERS - [0:0]", "-A PREROUTING -j OTHERS")
    node.ip("rule add priority 101 lookup 101")
    assert await monitor.changed() == {"rule"}
    node.restore("nft", "mangle", "-D PREROUTING -j ztunnel-PREROUTING")
    assert await monitor.changed() == {"chain"}


async def test_what_changes_while_nobody_asks_is_told_later_and_once(
    node: ScratchNode, monitor: Monitor
) -> None:
    node.ip("rule add priority 101 lookup 101")
    node.ip(f"route add 10.0.0.0/8 via 192.168.50.2 dev {UPLINK} table 101")
    assert await monitor.changed() == {"rule", "route"}
    asking = asyncio.create_task(monitor.changed())
    await asyncio.sleep(0)
    assert not asking.done()
    node.ip("rule delete priority 101")
    assert await asking == {"rule"}


async def test_a_program_that_is_applied_is_told_at_once(node: ScratchNode) -> None:
    kernel = Kernel(node.name)
    async with monitored(kernel, "ztunnel-", quiet=60, longest=0.2) as monitor:
        await hold(kernel, dpu_node())
        assert await monitor.changed() == {"address", "chain", "link", "route", "rule", "sysctl"}


async def test_changes_without_end_are_told_all_the_same() -> None:
    """Each comes before it has been quiet for long enough."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monitor = Monitor("ztunnel-", quiet=60, longest=0.01)
    with ours, theirs:
        ours.setblocking(False)
        theirs.send(bytes.fromhex("10000000 1000 0000 00000000 00000000"))
        monitor.receive(ours)
        assert await monitor.changed() == {"link"}


async def test_news_that_was_lost_is_told() -> None:
    class Overrun(socket.socket):
        failures = [OSError(errno.ENOBUFS, "No buffer space available")]  # noqa: RUF012

        def recv(self, *_arguments: int) -> bytes:
            raise self.failures.pop() if self.failures else BlockingIOError

    monitor = Monitor("ztunnel-", quiet=0, longest=1)
    with Overrun() as opened:
        monitor.receive(opened)
    assert await monitor.changed() == {LOST}


@pytest.mark.parametrize("backend", Backend)
async def test_sockets_are_closed_in_the_end(backend: Backend, node: ScratchNode) -> None:
    opened: list[int] = []
    for _ in range(2):
        async with monitored(Kernel(node.name, backend), "ztunnel-"):
            with socket.socket() as probe:
                opened.append(probe.fileno())
    assert opened[0] == opened[1]


async def test_a_namespace_that_is_gone_is_named() -> None:
    with pytest.raises(KernelError, match="network namespace 'gone'"):
        async with monitored(Kernel("gone"), "ztunnel-"):
            pass


async def test_a_kernel_that_holds_nothing_has_no_news(node: ScratchNode, monitor: Monitor) -> None:
    await hold(Kernel(node.name), NOTHING)
    node.ip("rule add priority 101 lookup 101")
    assert await monitor.changed() == {"rule"}
