"""What a plan does, and in what order, for one difference at a time."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from tests.datapath.plan_examples import (
    ALL_SYSCTL,
    ALL_TCP,
    DEFAULT,
    IN,
    IN_SYSCTL,
    MANGLE,
    MANGLE_JUMP,
    MARK_RULE,
    MARKED,
    NAT_JUMP,
    NEAR,
    NODE,
    POD_1,
    POD_2,
    PODS,
    observed,
    planned,
    pod_route,
)
from xds_server.datapath.names import Names
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import NOTHING, Plan, plan, removal
from xds_server.datapath.program import Address, IpSet, Link, Mark, Program, Route, Sysctl, Table, TunnelType
from xds_server.datapath.steps import (
    AddLink,
    AddRule,
    DeleteLink,
    DeleteRoute,
    DeleteRule,
    ReplaceRoute,
    RestoreSets,
    RestoreTable,
    SetSysctl,
    Step,
    TagConnections,
)

SKIP = Mark(0x220, 0x220)
POD_3 = IPv4Address("10.244.0.4")
CREATE = f"create {PODS} hash:ip family inet comment"
CREATE_NEW = f"create {PODS}-new hash:ip family inet comment"
HOLD_DEFAULT = Route(table=101, blackhole=True)
HOLD_1, HOLD_2 = (
    Route(table=100, destination=pod_route(pod).destination, blackhole=True) for pod in (POD_1, POD_2)
)
MANGLE_RULES = (
    "-A ztunnel-PREROUTING -i istioin -j RETURN",
    "-A ztunnel-PREROUTING -p tcp -m set --match-set ztunnel-pods-ips src -j MARK --set-xmark 0x100/0x100",
)
JUMP = "PREROUTING -j ztunnel-PREROUTING"
INSERT = "-I PREROUTING 1 -j ztunnel-PREROUTING"


def steps(plan: Plan) -> list[Step]:
    return [planned.step for planned in plan.steps]


def undo(plan: Plan) -> list[tuple[Step, ...]]:
    return [planned.undo for planned in plan.steps]


def mangle(*lines: str) -> RestoreTable:
    return RestoreTable(Table.MANGLE, ("*mangle", *lines, "COMMIT"))


def sets(*lines: str) -> RestoreSets:
    return RestoreSets(lines)


def pods(*members: tuple[Address, str]) -> tuple[IpSet, ...]:
    return (IpSet(PODS, frozenset(members)),)


def test_from_nothing_tables_are_there_before_marks_and_all_is_there_before_pods() -> None:
    nothing = Observed(held=replace(NOTHING, sysctls=(Sysctl(ALL_SYSCTL.path, "1"),)))
    assert steps(plan(nothing, NODE)) == [
        SetSysctl(ALL_SYSCTL, "1"),
        sets(CREATE),
        AddLink(IN),
        SetSysctl(IN_SYSCTL),
        ReplaceRoute(NEAR),
        ReplaceRoute(DEFAULT),
        AddRule(MARKED),
        AddRule(ALL_TCP),
        RestoreTable(
            Table.NAT,
            (
                "*nat",
                ":ztunnel-PREROUTING - [0:0]",
                "-A ztunnel-PREROUTING -m mark --mark 0x100/0x100 -j ACCEPT",
                INSERT,
                "COMMIT",
            ),
        ),
        mangle(":ztunnel-PREROUTING - [0:0]", *MANGLE_RULES, INSERT),
        TagConnections((POD_1, POD_2), SKIP),
        sets(f'add {PODS} {POD_1} comment "uid-1"', f'add {PODS} {POD_2} comment "uid-2"'),
        ReplaceRoute(pod_route(POD_1)),
        ReplaceRoute(pod_route(POD_2)),
    ]


def test_a_removal_goes_backwards_and_leaves_sysctls() -> None:
    gone = (":ztunnel-PREROUTING - [0:0]", f"-D {JUMP}", "-X ztunnel-PREROUTING")
    assert steps(removal(observed())) == [
        DeleteRoute(pod_route(POD_1)),
        DeleteRoute(pod_route(POD_2)),
        sets(f"flush {PODS}"),
        mangle(*gone),
        RestoreTable(Table.NAT, ("*nat", *gone, "COMMIT")),
        DeleteRule(MARKED),
        DeleteRule(ALL_TCP),
        DeleteRoute(DEFAULT),
        DeleteRoute(NEAR),
        DeleteLink(IN),
        sets(f"destroy {PODS}"),
    ]


JOINED = (*NODE.sets[0].members, (POD_3, "uid-3"))


@pytest.mark.parametrize(
    ("held", "wanted", "expected", "back"),
    [
        pytest.param(
            {},
            {"sets": pods(*JOINED), "routes": (*NODE.routes, pod_route(POD_3))},
            [
                TagConnections((POD_3,), SKIP),
                sets(f'add {PODS} {POD_3} comment "uid-3"'),
                ReplaceRoute(pod_route(POD_3)),
            ],
            [(), (sets(f"del {PODS} {POD_3}"),), (DeleteRoute(pod_route(POD_3)),)],
            id="a pod joins: its connections are let pass, then it is taken in",
        ),
        pytest.param(
            {"sets": pods(*JOINED), "routes": (*NODE.routes, pod_route(POD_3))},
            {},
            [DeleteRoute(pod_route(POD_3)), sets(f"del {PODS} {POD_3}")],
            [(ReplaceRoute(pod_route(POD_3)),), (sets(f'add {PODS} {POD_3} comment "uid-3"'),)],
            id="a pod leaves: the other way round",
        ),
        pytest.param(
            {},
            {"sets": pods((POD_1, "uid-1"), (POD_2, "uid-9"))},
            [sets(f"del {PODS} {POD_2}", f'add {PODS} {POD_2} comment "uid-9"')],
            [(sets(f"del {PODS} {POD_2}", f'add {PODS} {POD_2} comment "uid-2"'),)],
            id="an address goes to another pod: the entry is renewed, nothing is tagged",
        ),
        pytest.param(
            {"sysctls": (Sysctl(ALL_SYSCTL.path, "2"), IN_SYSCTL)},
            {},
            [SetSysctl(ALL_SYSCTL, "2")],
            [(SetSysctl(Sysctl(ALL_SYSCTL.path, "2"), "0"),)],
            id="a sysctl was changed: it is set, and what it was is known for the way back",
        ),
        pytest.param(
            {"routes": (DEFAULT, NEAR, pod_route(POD_1, POD_3), pod_route(POD_2))},
            {},
            [ReplaceRoute(pod_route(POD_1))],
            [(ReplaceRoute(pod_route(POD_1, POD_3)),)],
            id="a route leads elsewhere: it is replaced",
        ),
        pytest.param(
            {"rules": (replace(MARKED, table=109), ALL_TCP)},
            {},
            [AddRule(MARKED), DeleteRule(replace(MARKED, table=109))],
            [(DeleteRule(MARKED),), (AddRule(replace(MARKED, table=109)),)],
            id="a rule looks elsewhere: the right one is there before the wrong one goes",
        ),
        pytest.param(
            {"chains": (replace(MANGLE, rules=(MARK_RULE,)), NODE.chains[1])},
            {},
            [mangle(":ztunnel-PREROUTING - [0:0]", *MANGLE_RULES)],
            [(mangle(":ztunnel-PREROUTING - [0:0]", MANGLE_RULES[1]),)],
            id="a rule of a chain was deleted: the chain is filled again, its jump stays",
        ),
        pytest.param(
            {"sets": (*NODE.sets, IpSet(f"{PODS}-new", frozenset({(POD_1, "")})))},
            {},
            [sets(f"destroy {PODS}-new")],
            [(sets(CREATE_NEW, f"add {PODS}-new {POD_1}"),)],
            id="a set was being filled when its maker died: it goes",
        ),
        pytest.param(
            {"links": (replace(IN, mtu=1500),), "routes": (NEAR,)},
            {"routes": (NEAR,)},
            [DeleteLink(replace(IN, mtu=1500)), AddLink(IN), SetSysctl(IN_SYSCTL)],
            [(AddLink(replace(IN, mtu=1500)), SetSysctl(IN_SYSCTL)), (DeleteLink(IN),), ()],
            id="a link has another mtu: it is made again, with its sysctls",
        ),
    ],
)
def test_only_what_differs_is_changed(
    held: dict[str, Any], wanted: dict[str, Any], expected: list[Step], back: list[tuple[Step, ...]]
) -> None:
    made = planned(observed(**held), **wanted)
    assert steps(made) == expected
    assert undo(made) == back


def test_when_ztunnel_has_moved_what_was_for_it_is_held_up_until_it_can_go_there() -> None:
    moved = replace(IN, remote=IPv4Address("10.244.1.9"))
    assert steps(planned(observed(), links=(moved,))) == [
        ReplaceRoute(HOLD_DEFAULT),
        ReplaceRoute(HOLD_1),
        ReplaceRoute(HOLD_2),
        DeleteLink(IN),
        AddLink(moved),
        SetSysctl(IN_SYSCTL),
        ReplaceRoute(DEFAULT),
        ReplaceRoute(pod_route(POD_1)),
        ReplaceRoute(pod_route(POD_2)),
    ]


@pytest.mark.parametrize(
    ("stale", "early"),
    [
        (replace(IN, name="old"), True),
        (replace(IN, name="old", type=TunnelType.VXLAN, vni=7), True),
        (replace(IN, name="old", vni=7), False),
        (replace(IN, name="old", port=6082), False),
    ],
)
def test_a_link_goes_first_if_the_kernel_would_refuse_another_beside_it(stale: Link, early: bool) -> None:
    made = planned(observed(links=(stale,), routes=(NEAR,), sysctls=(ALL_SYSCTL,)), routes=(NEAR,))
    make = [AddLink(IN), SetSysctl(IN_SYSCTL)]
    assert steps(made) == ([DeleteLink(stale), *make] if early else [*make, DeleteLink(stale)])


@pytest.mark.parametrize(
    ("places", "deleted", "back"),
    [
        ((), [], []),
        ((2,), [f"-D {JUMP}"], ["-I PREROUTING 2 -j ztunnel-PREROUTING"]),
        (
            (1, 4),
            [f"-D {JUMP}", f"-D {JUMP}"],
            [INSERT, "-I PREROUTING 4 -j ztunnel-PREROUTING"],
        ),
    ],
)
def test_of_a_jump_there_is_one_at_the_top(
    places: tuple[int, ...], deleted: list[str], back: list[str]
) -> None:
    made = planned(observed({NAT_JUMP: (1,), MANGLE_JUMP: places}))
    assert steps(made) == [mangle(*deleted, INSERT)]
    assert undo(made) == [(mangle(f"-D {JUMP}", *back),)]


def test_a_set_most_of_whose_members_change_is_swapped_whole() -> None:
    old = pods(*((IPv4Address(f"10.244.9.{last}"), "old") for last in range(2, 12)))
    made = planned(observed(sets=old, routes=(DEFAULT, NEAR)), routes=(DEFAULT, NEAR))
    assert steps(made) == [
        TagConnections((POD_1, POD_2), SKIP),
        sets(
            CREATE_NEW,
            f"flush {PODS}-new",
            f'add {PODS}-new {POD_1} comment "uid-1"',
            f'add {PODS}-new {POD_2} comment "uid-2"',
            f"swap {PODS}-new {PODS}",
            f"destroy {PODS}-new",
        ),
    ]


@pytest.mark.parametrize(("others", "lines"), [(4, ["del"] * 4), (5, ["create"])])
def test_a_set_is_swapped_when_that_takes_fewer_lines_than_its_changes(others: int, lines: list[str]) -> None:
    old = pods(*((IPv4Address(f"10.244.9.{last}"), "old") for last in range(others)))
    made = planned(observed(sets=old, routes=(DEFAULT, NEAR)), routes=(DEFAULT, NEAR))
    first = next(step for step in steps(made) if isinstance(step, RestoreSets))
    assert [line.split()[0] for line in first.lines][: len(lines)] == lines


def test_a_route_to_a_range_is_no_pods_though_it_begins_at_one() -> None:
    around = Route(table=101, destination=IPv4Network(f"{POD_1}/31"), device="veth1")
    made = planned(observed(sets=pods()), routes=(*NODE.routes, around))
    assert steps(made)[0] == ReplaceRoute(around)


def test_connections_are_tagged_with_the_mark_that_the_node_skips_by() -> None:
    names = Names(skip_connection=Mark(0xA20, 0xA20))
    made = plan(observed(sets=pods()), NODE, names)
    assert TagConnections((POD_1, POD_2), Mark(0xA20, 0xA20)) in steps(made)


def test_a_pod_in_a_set_that_was_never_swapped_in_joins_all_the_same() -> None:
    left = IpSet(f"{PODS}-new", frozenset({(POD_1, "uid-1")}))
    made = planned(observed(sets=(*pods((POD_2, "uid-2")), left)))
    assert TagConnections((POD_1,), SKIP) in steps(made)


def test_what_is_in_the_way_is_told_with_the_plan() -> None:
    assert plan(Observed(held=NODE, clashes=("rule 101 of others",)), NODE).clashes == ("rule 101 of others",)


def test_several_jumps_of_one_chain_are_in_the_order_of_the_program() -> None:
    second = replace(MANGLE_JUMP, chain="ztunnel-2")
    wanted = Program(
        name="two", chains=(MANGLE, replace(MANGLE, name="ztunnel-2")), jumps=(MANGLE_JUMP, second)
    )
    [made] = plan(
        Observed(held=replace(wanted, jumps=()), jumps={second: (1,), MANGLE_JUMP: (2,)}), wanted
    ).steps
    assert made.step == mangle(
        "-D PREROUTING -j ztunnel-2",
        f"-D {JUMP}",
        INSERT,
        "-I PREROUTING 2 -j ztunnel-2",
    )
