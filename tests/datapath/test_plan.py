"""What a plan does, and in what order, for one difference at a time."""

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from tests.datapath.plan_examples import (
    ALL_SYSCTL,
    ALL_TCP,
    CREATE_NEW,
    DEFAULT,
    IN,
    IN_SYSCTL,
    INSERT,
    JUMP,
    MANGLE,
    MARK_RULE,
    MARKED,
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
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan import NOTHING, plan, removal
from xds_server.datapath.program import IpSet, Sysctl, Table
from xds_server.datapath.steps import (
    AddLink,
    AddRule,
    DeleteLink,
    DeleteRoute,
    DeleteRule,
    ReplaceRoute,
    RestoreTable,
    SetSysctl,
    Step,
    TagConnections,
)

POD_3 = IPv4Address("10.244.0.4")
CREATE = f"create {PODS} hash:ip family inet comment"
MANGLE_RULES = (
    "-A ztunnel-PREROUTING -i istioin -j RETURN",
    "-A ztunnel-PREROUTING -p tcp -m set --match-set ztunnel-pods-ips src -j MARK --set-xmark 0x100/0x100",
)


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
