"""What a plan does to links, jumps, sets and connections where there is more than one way."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.datapath.plan_examples import (
    ALL_SYSCTL,
    CREATE_NEW,
    DEFAULT,
    IN,
    IN_SYSCTL,
    INSERT,
    JUMP,
    MANGLE,
    MANGLE_JUMP,
    NAT_JUMP,
    NEAR,
    NODE,
    POD_1,
    POD_2,
    PODS,
    SKIP,
    mangle,
    observed,
    planned,
    pod_route,
    pods,
    sets,
    steps,
    undo,
)
from xds_server.datapath.names import Names
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import plan
from xds_server.datapath.program import IpSet, Link, Mark, Program, Route, TunnelType
from xds_server.datapath.steps import (
    AddLink,
    DeleteLink,
    ReplaceRoute,
    RestoreSets,
    SetSysctl,
    TagConnections,
)

HOLD_DEFAULT = Route(table=101, blackhole=True)
HOLD_1, HOLD_2 = (
    Route(table=100, destination=pod_route(pod).destination, blackhole=True) for pod in (POD_1, POD_2)
)


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
