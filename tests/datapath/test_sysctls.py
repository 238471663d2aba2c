"""Sysctls of this namespace, read and written."""

from dataclasses import replace

import pytest

from tests.helpers.scratch_node import UPLINK, ScratchNode, needs_root
from xds_server.datapath.kernel import Kernel, within
from xds_server.datapath.program import Sysctl
from xds_server.datapath.sysctls import read_sysctl, write_sysctl
from xds_server.exceptions import KernelError

pytestmark = needs_root
SETTING = Sysctl(f"net/ipv4/conf/{UPLINK}/rp_filter", "2")


async def test_a_sysctl_is_what_was_written(node: ScratchNode) -> None:
    await within(Kernel(node.name), lambda _: write_sysctl(SETTING))
    assert await within(Kernel(node.name), lambda _: read_sysctl(SETTING.path)) == "2"
    assert node.run("sysctl", "-n", SETTING.path) == "2\n"


async def test_a_sysctl_of_no_device_is_not_there(node: ScratchNode) -> None:
    assert await within(Kernel(node.name), lambda _: read_sysctl("net/ipv4/conf/gone/rp_filter")) is None


async def test_what_is_there_and_cannot_be_read_is_told(node: ScratchNode) -> None:
    path = "net/ipv4/conf/all"
    with pytest.raises(KernelError, match=f"^/proc/sys/{path}: Is a directory$"):
        await within(Kernel(node.name), lambda _: read_sysctl(path))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"value": "many"}, "Invalid argument"),
        ({"path": "net/ipv4/conf/gone/rp_filter"}, "No such file or directory"),
    ],
)
async def test_a_sysctl_that_cannot_be_set_is_told(
    changes: dict[str, str], told: str, node: ScratchNode
) -> None:
    wrong = replace(SETTING, **changes)
    with pytest.raises(KernelError, match=f"^/proc/sys/{wrong.path}: {told}$"):
        await within(Kernel(node.name), lambda _: write_sysctl(wrong))
