"""What a node knows by itself of its addresses and of its pods' devices."""

from ipaddress import ip_address

from tests.helpers.scratch_node import UPLINK, VETH, ScratchNode, needs_root
from xds_server.agent.local import Local, read_local
from xds_server.datapath.kernel import Kernel, within

pytestmark = needs_root


async def local(node: ScratchNode) -> Local:
    return await within(Kernel(node.name), read_local)


async def test_own_addresses_and_those_of_pods_are_told_with_their_devices(node: ScratchNode) -> None:
    node.ip(f"-6 address add fd00::131/64 dev {UPLINK} nodad")
    node.ip(f"-6 route add fd00:1::2/128 dev {VETH}")
    found = await local(node)
    assert found.own[ip_address("192.168.50.131")] == UPLINK
    assert found.own[ip_address("fd00::131")] == UPLINK
    assert found.own[ip_address("10.244.1.1")] == VETH
    assert found.pods[ip_address("10.244.1.2")] == VETH
    assert found.pods[ip_address("fd00:1::2")] == VETH


async def test_of_two_devices_with_one_address_the_older_one_has_it(node: ScratchNode) -> None:
    node.ip("link add veth-late type veth peer name late")
    node.ip("address add 10.244.1.1/32 dev veth-late")
    node.ip("address add 192.168.50.131/32 dev veth-late")
    found = await local(node)
    assert found.own[ip_address("10.244.1.1")] == VETH
    assert found.own[ip_address("192.168.50.131")] == UPLINK


async def test_a_pods_address_is_one_to_which_a_device_leads_alone(node: ScratchNode) -> None:
    """Neither a range, nor what is behind a gateway, nor what other tables say, nor routes of ours."""
    node.ip(f"route add 10.244.1.16/28 dev {VETH}")
    node.ip(f"route add 10.9.0.1/32 via 192.168.50.2 dev {UPLINK}")
    node.ip(f"route add 10.9.0.2/32 dev {VETH} table 500")
    node.ip(f"route add 10.9.0.3/32 dev {VETH} proto 76")
    node.ip("route add blackhole 10.9.0.4/32")
    before = {ip_address("10.244.1.2"): VETH}
    assert {each: name for each, name in (await local(node)).pods.items() if each.version == 4} == before


async def test_addresses_of_a_link_alone_are_not_the_nodes(node: ScratchNode) -> None:
    node.ip(f"-6 address add fe80::1/64 dev {UPLINK} nodad")
    assert ip_address("fe80::1") not in (await local(node)).own
