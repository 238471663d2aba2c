"""
The difference between what a kernel holds and what it shall hold, as steps in the order they are safe in.

    1  pods that leave        their routes, then their members of sets
    2  sysctls
    3  sets                   empty
    4  links                  those in the way deleted, others made, with their sysctls
    5  routes
    6  rules
    7  tables of iptables     one transaction each: chains, rules of ours, and the jumps
    8  pods that join         their open connections marked, then members of sets, then routes
    9  what is left over      rules, routes, links, sets

Up to the seventh nothing is taken from what marks lead to, and after it nothing leads to what is taken:
at no moment is a mark put that no rule looks up, or whose table is empty. Read backwards, with what is
wanted away, it is the order of a removal: a removal is the plan for a program of nothing.

Rules here: a plan is pure, knows no tool and no clock. It names no object but those observed as ours and
those wanted. Each step has its way back, made from what was observed. What is right is in no step.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from xds_server.datapath import plan_links, plan_sets, plan_tables
from xds_server.datapath.changes import Change, changes_between
from xds_server.datapath.names import Names
from xds_server.datapath.observed import Observed
from xds_server.datapath.plan_routes import RouteSteps
from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.program import Program
from xds_server.datapath.steps import AddRule, DeleteRule, TagConnections

_NAMES = Names()
NOTHING = Program(name="nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``changes`` tell of objects what ``steps`` do to them; both are empty when there is nothing to do."""

    program: str
    changes: tuple[Change, ...]
    steps: tuple[PlannedStep, ...]
    clashes: tuple[str, ...] = ()
    """As observed: foreign objects in the place of ours. With any of them the steps cannot succeed."""


def plan(observed: Observed, desired: Program, names: Names = _NAMES) -> Plan:
    """Return what makes a kernel hold a program; ``names`` are those it was made with."""
    return Plan(
        program=desired.name,
        changes=tuple(changes_between(observed, desired)),
        steps=tuple(_steps(observed, desired, names)),
        clashes=observed.clashes,
    )


def removal(observed: Observed) -> Plan:
    """Return what leaves nothing of ours; sysctls stay, for others may need them by now."""
    return plan(observed, NOTHING)


def _steps(observed: Observed, desired: Program, names: Names) -> Iterator[PlannedStep]:
    held = observed.held
    routes = RouteSteps(held, desired)
    in_the_way = plan_links.links_in_the_way(held, desired)
    yield from routes.leave()
    yield from plan_sets.withdraw(held, desired)
    yield from plan_links.set_sysctls(held, desired)
    yield from plan_sets.create(held, desired)
    yield from routes.hold({link.name for link in in_the_way})
    yield from plan_links.delete(in_the_way, held)
    yield from plan_links.make(plan_links.links_to_make(held, desired), desired)
    yield from routes.settle()
    yield from _add_rules(held, desired)
    yield from plan_tables.restore(observed, desired)
    yield from _tag(held, desired, names)
    yield from plan_sets.fill(held, desired)
    yield from routes.join()
    yield from _delete_rules(held, desired)
    yield from routes.drop()
    yield from plan_links.delete(plan_links.links_to_drop(held, desired), held)
    yield from plan_sets.destroy(held, desired)


def _add_rules(held: Program, desired: Program) -> Iterator[PlannedStep]:
    for rule in desired.rules:
        if rule not in held.rules:
            yield PlannedStep(AddRule(rule), (DeleteRule(rule),))


def _delete_rules(held: Program, desired: Program) -> Iterator[PlannedStep]:
    for rule in held.rules:
        if rule not in desired.rules:
            yield PlannedStep(DeleteRule(rule), (AddRule(rule),))


def _tag(held: Program, desired: Program, names: Names) -> Iterator[PlannedStep]:
    """Let connections that pods have as they join pass to their end; there is no need to undo that."""
    joining = plan_sets.joining(held, desired)
    if joining:
        yield PlannedStep(TagConnections(tuple(sorted(joining, key=str)), names.skip_connection))
