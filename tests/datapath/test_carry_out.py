"""Each kind of step on a real kernel: done, observed, undone; with both backends of iptables."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest

from tests.datapath.real_kernels import NOTHING, content
from tests.datapath.step_cases import ASKED, CASES, CREATE, GATEWAY, LINK, MARK, OTHER_POD, SET
from tests.helpers.scratch_node import UPLINK, VETH, ScratchNode, needs_root
from xds_server.datapath.commands import commands_of
from xds_server.datapath.execute import execute
from xds_server.datapath.kernel import Kernel
from xds_server.datapath.observe import observe
from xds_server.datapath.program import IpSet, PolicyRule, Route
from xds_server.datapath.steps import AddLink, DeleteLink, DeleteRoute, DeleteRule, ReplaceRoute, RestoreSets

pytestmark = needs_root


@pytest.mark.parametrize("name", CASES)
async def test_a_step_is_done_and_observed_and_undone(name: str, node: ScratchNode, kernel: Kernel) -> None:
    case = CASES[name]
    before, seen = await observe(kernel, ASKED), node.everything(kernel.backend)
    await execute(kernel, [case.step])
    after = await observe(kernel, ASKED)
    assert case.value in getattr(after.held, case.kind)
    assert content(after) != content(before)
    await execute(kernel, [case.undo])
    assert content(await observe(kernel, ASKED)) == content(before)
    if name != "table":  # the table itself stays, empty
        assert node.everything(kernel.backend) == seen


@pytest.mark.parametrize("name", CASES)
async def test_the_commands_a_step_is_told_as_do_the_same(
    name: str, node: ScratchNode, kernel: Kernel
) -> None:
    case = CASES[name]
    await execute(kernel, [case.step])
    by_step = content(await observe(kernel, ASKED))
    await execute(kernel, [case.undo])
    for command in commands_of(case.step, kernel.backend):
        node.run(*command.argv, stdin="".join(f"{line}\n" for line in command.stdin))
    assert content(await observe(kernel, ASKED)) == by_step


@pytest.mark.parametrize("name", CASES)
async def test_what_is_gone_already_may_be_deleted(name: str, kernel: Kernel) -> None:
    case = CASES[name]
    if isinstance(case.undo, DeleteLink | DeleteRoute | DeleteRule):
        before = content(await observe(kernel, ASKED))
        await execute(kernel, [case.undo])
        assert content(await observe(kernel, ASKED)) == before


async def test_a_set_is_swapped_for_another(kernel: Kernel) -> None:
    fill = [CREATE, f"add {SET.name} 10.244.0.2"]
    swap = [line.replace(SET.name, f"{SET.name}-new") for line in (CREATE, f"add {SET.name} 10.244.0.7")]
    swap += [f"swap {SET.name}-new {SET.name}", f"destroy {SET.name}-new"]
    await execute(kernel, [RestoreSets(tuple(fill)), RestoreSets(tuple(swap))])
    held = (await observe(kernel, NOTHING)).held
    assert held.sets == (IpSet(SET.name, frozenset({OTHER_POD})),)


async def test_a_route_is_replaced_by_one_to_the_same_place(kernel: Kernel) -> None:
    first = Route(table=101, via=GATEWAY, device=UPLINK)
    second = Route(table=101, via=IPv4Address("10.244.1.2"), device=VETH, onlink=True)
    await execute(kernel, [ReplaceRoute(first), ReplaceRoute(second)])
    assert (await observe(kernel, NOTHING)).held.routes == (second,)


async def test_a_link_that_is_made_again_has_the_address_it_had(node: ScratchNode, kernel: Kernel) -> None:
    """Its far end need not learn a new one."""
    found = []
    for _ in range(2):
        await execute(kernel, [AddLink(LINK)])
        found.append(node.run("cat", f"/sys/class/net/{LINK.name}/address"))
        await execute(kernel, [DeleteLink(LINK)])
    assert found[0] == found[1]
    other = replace(LINK, address=IPv4Interface("192.168.126.2/30"))
    await execute(kernel, [AddLink(other)])
    assert node.run("cat", f"/sys/class/net/{LINK.name}/address") != found[0]


async def test_a_link_with_two_addresses_has_the_one_that_is_wanted(
    node: ScratchNode, kernel: Kernel
) -> None:
    await execute(kernel, [AddLink(LINK)])
    node.ip(f"address delete {LINK.address} dev {LINK.name}")
    node.ip(f"address add 172.16.0.1/24 dev {LINK.name}")
    other = replace(LINK, address=IPv4Interface("172.16.0.1/24"))
    assert (await observe(kernel, NOTHING)).held.links == (other,)
    node.ip(f"address add {LINK.address} dev {LINK.name}")
    assert (await observe(kernel, replace(NOTHING, links=(LINK,)))).held.links == (LINK,)


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("link set istioin down", {"up": False}),
        ("link set istioin mtu 1400", {"mtu": 1400}),
        ("address flush dev istioin", {"address": IPv4Interface("0.0.0.0/32")}),
    ],
)
async def test_a_changed_link_is_observed_and_made_again_as_it_was(
    words: str, changes: dict[str, Any], node: ScratchNode, kernel: Kernel
) -> None:
    wanted = replace(NOTHING, links=(LINK,))
    await execute(kernel, [AddLink(LINK)])
    node.ip(words)
    (changed,) = (await observe(kernel, wanted)).held.links
    assert changed == replace(LINK, **changes)
    await execute(kernel, [DeleteLink(changed), AddLink(changed)])
    assert (await observe(kernel, wanted)).held.links == (changed,)


async def test_deleting_ours_leaves_the_same_of_others(node: ScratchNode, kernel: Kernel) -> None:
    rule = PolicyRule(priority=101, fwmark=MARK, table=101)
    route = Route(table=101, destination=IPv4Network("10.0.0.0/8"), via=GATEWAY, device=UPLINK)
    node.ip("rule add priority 101 fwmark 0x100/0x100 lookup 101")
    node.ip(f"route add 10.0.0.0/8 via {GATEWAY} dev {UPLINK} table 101")
    before = node.everything(kernel.backend)
    await execute(kernel, [DeleteRule(rule), DeleteRoute(route)])
    assert node.everything(kernel.backend) == before
