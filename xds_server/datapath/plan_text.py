"""
A plan as text: what changes, kind by kind, then the commands that change it.

``+`` is added, ``-`` deleted, ``~`` changed. The commands can be typed into a shell as they stand.
"""

import shlex
from collections.abc import Iterator

from xds_server.datapath.changes import Change, Kind, Sign
from xds_server.datapath.commands import Command, commands_of
from xds_server.datapath.plan import Plan

_END = "EOF"


def as_text(plan: Plan, backend: str = "") -> str:
    """Return the whole of a plan; ``backend`` as for ``commands_of``."""
    parts = [*_changes(plan)]
    commands = [line for planned in plan.steps for line in _commands(commands_of(planned.step, backend))]
    if commands:
        parts += ["", "# commands", *commands]
    return "\n".join(parts)


def changes_text(plan: Plan) -> str:
    """Return what changes, without the commands."""
    return "\n".join(_changes(plan))


def _changes(plan: Plan) -> Iterator[str]:
    if plan.clashes:
        yield f"in the way ({len(plan.clashes)})"
        yield from (f"  ! {clash}" for clash in plan.clashes)
    if not plan.changes:
        yield f"nothing to do: the kernel holds {plan.program}"
    for kind in Kind:
        changes = [change for change in plan.changes if change.kind is kind]
        if changes:
            yield f"{kind}s ({len(changes)})"
        for change in changes:
            yield from _told(change)


def change_line(change: Change) -> str:
    """Return a change in one line, with its kind."""
    return f"{change.sign} {change.kind} {_object(change, change.wanted or change.now)}"


def _told(change: Change) -> Iterator[str]:
    line = f"  {change.sign} {_object(change, change.wanted or change.now)}"
    if change.sign is Sign.CHANGED and change.now:
        # Values that are long and much alike are read one below the other.
        apart = change.kind in (Kind.LINK, Kind.ROUTE)
        line += f"\n    (is {_object(change, change.now)})" if apart else f" (is {change.now})"
    yield line
    yield from (f"      {rule}" for rule in change.rules)


def _object(change: Change, value: str) -> str:
    match change.kind:
        case Kind.ROUTE:
            return value
        case Kind.SYSCTL:
            return f"{change.object} = {value}"
        case Kind.JUMP:
            return f"{change.object} at {value}"
        case _:
            return f"{change.object} {value}".rstrip()


def _commands(commands: tuple[Command, ...]) -> Iterator[str]:
    for command in commands:
        line = shlex.join(command.argv) + (f"  # {command.note}" if command.note else "")
        if command.stdin:
            yield from (f"{line} <<'{_END}'", *command.stdin, _END)
        else:
            yield line
