"""A plan as JSON, for programs to read: what ``plan_text`` tells, and the way back of each step."""

from typing import Any

from xds_server.datapath.commands import Command, commands_of
from xds_server.datapath.plan import Plan
from xds_server.datapath.steps import Step


def as_json(plan: Plan, backend: str = "") -> dict[str, Any]:
    """Return values that ``json`` can write; ``backend`` as for ``commands_of``."""
    return {
        "program": plan.program,
        "converged": not plan.steps,
        "clashes": list(plan.clashes),
        "changes": [
            {
                "kind": change.kind.value,
                "sign": change.sign.value,
                "object": change.object,
                "now": change.now,
                "wanted": change.wanted,
                "rules": list(change.rules),
            }
            for change in plan.changes
        ],
        "steps": [
            {
                "step": type(planned.step).__name__,
                "commands": _commands((planned.step,), backend),
                "undo": _commands(planned.undo, backend),
            }
            for planned in plan.steps
        ],
    }


def _commands(steps: tuple[Step, ...], backend: str) -> list[dict[str, Any]]:
    return [_command(command) for step in steps for command in commands_of(step, backend)]


def _command(command: Command) -> dict[str, Any]:
    told: dict[str, Any] = {"argv": list(command.argv)}
    if command.stdin:
        told["stdin"] = "\n".join((*command.stdin, ""))
    if command.note:
        told["note"] = command.note
    return told
