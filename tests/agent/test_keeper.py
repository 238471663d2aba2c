"""A node that is made to hold what the control plane says of it."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agent.saying import dpu, pods, told, ztunnel
from tests.agent.watched_kernel import LOOK, WatchedKernel
from tests.helpers.scratch_node import UPLINK, VETH, ScratchNode, needs_root
from xds_server.agent.keeper import Held, Keeper
from xds_server.agent.settings import NodeSettings
from xds_server.datapath.inputs import WithoutZtunnel
from xds_server.datapath.kernel import Backend
from xds_server.exceptions import InputError, KernelError
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

pytestmark = needs_root

SETTINGS = NodeSettings(backend=Backend.NFT)
TPROXY = "--on-port 15001"


class KeptNode:
    """A keeper on a node, with what it does to the kernel."""

    def __init__(self, node: ScratchNode, settings: NodeSettings = SETTINGS) -> None:
        self.watched = WatchedKernel(node.name)
        self.keeper = Keeper(settings, self.watched.kernel)
        self.keeper.node.before_look = self.watched.look

    async def hold(self, program: api.NodeProgram, *, thorough: bool = True) -> Held:
        return await self.keeper.hold(told(program), thorough=thorough)


@pytest.fixture
def pod(node: ScratchNode) -> Iterator[ScratchNode]:
    """The ztunnel pod behind the node's veth."""
    made = ScratchNode(f"{node.name}-zt")
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    try:
        node.ip(f"link set pod netns {made.name} name eth0")
        made.ip("link set lo up")
        made.ip("address add 10.244.1.2/24 dev eth0")
        made.ip("link set eth0 up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "delete", made.name], check=True)


async def test_a_node_holds_the_program_of_its_role_and_the_routes_to_pods(node: ScratchNode) -> None:
    kept, others = KeptNode(node), node.others("nft")
    held = await kept.hold(dpu())
    assert held.program.name == "dpu_node+pod_routes"
    assert [str(each.address) for each in held.inputs.pods] == ["10.244.0.7", "10.244.0.2"]
    assert held.changes
    assert "10.244.0.0/24 via 192.168.50.130" in node.ip("route show proto 76")
    assert "10.244.0.7" in node.run("ipset", "list", "ztunnel-pods-ips")
    assert "vxlan" in node.ip("-d link show istioin")
    again = await kept.hold(dpu())
    assert again == replace(held, changes=())
    assert node.others("nft") == others


async def test_routes_to_pods_are_left_to_others_where_they_are_theirs(node: ScratchNode) -> None:
    held = await KeptNode(node, replace(SETTINGS, pod_routes=False)).hold(dpu())
    assert held.program.name == "dpu_node"
    assert node.ip("route show proto 76") == ""


async def test_without_a_ztunnel_the_nodes_own_policy_counts(node: ScratchNode) -> None:
    blocks = replace(SETTINGS, when_ztunnel_is_gone=WithoutZtunnel.BLOCK)
    kept = KeptNode(node, blocks)
    await kept.hold(dpu())
    await kept.hold(dpu(ztunnel=ztunnel("10.244.1.2", ready=False)))
    assert "istioin" not in node.ip("link show")
    assert any("DROP" in line for line in node.saved("nft"))
    await KeptNode(node).hold(dpu(ztunnel=None))
    assert not any("DROP" in line for line in node.saved("nft"))


async def test_what_makes_no_program_touches_nothing(node: ScratchNode) -> None:
    kept = KeptNode(node)
    await kept.hold(dpu())
    before = node.everything("nft")
    kept.watched.take()
    with pytest.raises(InputError, match="has no InternalIP"):
        await kept.hold(dpu(addresses=[]))
    assert kept.watched.take() == []
    assert node.everything("nft") == before


async def test_a_device_that_comes_is_part_of_the_next_program(node: ScratchNode) -> None:
    node.ip("link set dev.7 up")
    kept = KeptNode(node)
    program = dpu(pods=[*pods("10.244.0.7"), *pods("10.244.1.9")])
    await kept.hold(program)
    node.ip("route add 10.244.1.9 dev dev.7")
    held = await kept.hold(program)
    assert [each.device for each in held.inputs.pods] == ["", "dev.7"]
    assert [each.object for each in held.changes] == ["net/ipv4/conf/dev.7/rp_filter"]


async def test_a_device_that_comes_while_the_node_is_looked_at_is_not_missed(node: ScratchNode) -> None:
    """By then the news of it is taken for known."""
    node.ip("link set dev.7 up")
    kept = KeptNode(node)
    program = dpu(pods=pods("10.244.1.9"))
    await kept.hold(program)

    def comes_now() -> None:
        kept.watched.look()
        if kept.watched.done == [LOOK]:
            node.ip("route add 10.244.1.9 dev dev.7")

    kept.watched.take()
    kept.keeper.node.before_look = comes_now
    held = await kept.hold(program)
    assert [each.device for each in held.inputs.pods] == ["dev.7"]
    assert node.run("sysctl", "-n", "net/ipv4/conf/dev.7/rp_filter") == "0\n"


async def test_a_removal_leaves_nothing_of_ours(node: ScratchNode) -> None:
    others, kept = node.others("nft"), KeptNode(node)
    await kept.hold(dpu())
    assert await kept.keeper.remove()
    assert "ztunnel-" not in node.everything("nft")
    assert node.ip("route show table all proto 76") == ""
    assert node.others("nft") == others


async def test_the_ztunnel_pods_namespace_is_programmed_where_it_is_found(
    node: ScratchNode, pod: ScratchNode
) -> None:
    held = await KeptNode(node).hold(dpu())
    assert any(TPROXY in line for line in pod.saved("nft"))
    assert "pistioin" in pod.ip("link show")
    assert any("pistioin" in each.object for each in held.changes)
    assert (await KeptNode(node).hold(dpu())).changes == ()


async def test_the_pods_namespace_is_left_alone_where_that_is_said(
    node: ScratchNode, pod: ScratchNode
) -> None:
    before = pod.everything("nft")
    await KeptNode(node, replace(SETTINGS, ztunnel_netns=False)).hold(dpu())
    assert pod.everything("nft") == before


async def test_what_drifts_in_the_pods_namespace_is_mended_by_a_thorough_look(
    node: ScratchNode, pod: ScratchNode
) -> None:
    kept = KeptNode(node)
    await kept.hold(dpu())
    pod.ip("link delete pistioin")
    assert (await kept.hold(dpu(pods=[]), thorough=False)).changes
    assert "pistioin" not in pod.ip("link show")
    assert (await kept.hold(dpu(pods=[]))).changes
    assert "pistioin" in pod.ip("link show")


async def test_what_is_wanted_of_the_pods_namespace_is_not_left_for_later(
    node: ScratchNode, pod: ScratchNode
) -> None:
    """Both ends of a tunnel know each other by their addresses."""
    kept = KeptNode(node)
    await kept.hold(dpu())
    node.ip(f"address add 10.244.1.3/32 dev {VETH}")
    node.ip(f"address delete 10.244.1.1/32 dev {VETH}")
    await kept.hold(dpu(), thorough=False)
    assert "remote 10.244.1.3" in pod.ip("-d link show pistioin")


async def test_a_namespace_that_is_gone_by_one_name_is_found_by_another(
    node: ScratchNode, pod: ScratchNode, caplog: pytest.LogCaptureFixture
) -> None:
    """As with the process it was found by, when a container of the pod is started anew."""
    kept, path = KeptNode(node), f"/run/netns/{pod.name}"
    await kept.hold(dpu())
    inside = await asyncio.create_subprocess_exec("nsenter", f"--net={path}", "sleep", "infinity")
    try:
        await until_inside(inside.pid, Path(path))
        await asyncio.to_thread(subprocess.run, ["umount", path], check=True)
        with pytest.raises(KernelError, match=f"network namespace .*{pod.name}"):
            await kept.hold(dpu())
        assert (await kept.hold(dpu())).changes == ()
        assert "is not found" not in caplog.text
    finally:
        inside.kill()
        await inside.wait()


async def until_inside(pid: int, namespace: Path) -> None:
    wanted = namespace.stat().st_ino
    while Path(f"/proc/{pid}/ns/net").stat().st_ino != wanted:
        await asyncio.sleep(0.01)


async def test_a_namespace_that_is_not_found_is_told_once_and_the_node_is_held(
    node: ScratchNode, caplog: pytest.LogCaptureFixture
) -> None:
    """The far end of the veth is here."""
    kept = KeptNode(node)
    for thorough in (True, False, True):
        assert (await kept.hold(dpu(), thorough=thorough)).program.links
    assert caplog.text.count(f"ztunnel's namespace, behind {VETH}, is not found") == 1


assert UPLINK
