"""``offmesh datapath``: the datapath of one node by hand, without a control plane."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from xds_server.cli.flags import flag
from xds_server.cli.logs import log_options
from xds_server.cli.terminal import format_option, printable
from xds_server.datapath import execute
from xds_server.datapath.backend import detect_backend
from xds_server.datapath.inputs import NodeInputs
from xds_server.datapath.inputs_file import parse_inputs, parse_names
from xds_server.datapath.kernel import Backend, Kernel
from xds_server.datapath.names import Names
from xds_server.datapath.observe import observe
from xds_server.datapath.plan import NOTHING, Plan
from xds_server.datapath.plan import plan as plan_between
from xds_server.datapath.plan_json import as_json
from xds_server.datapath.plan_text import as_text, changes_text
from xds_server.datapath.preflight import lacks
from xds_server.datapath.program import Program
from xds_server.datapath.programs import DEFAULT_PROGRAMS, PROGRAMS
from xds_server.datapath.programs.combine import combine
from xds_server.exceptions import InputError, KernelError

F = TypeVar("F", bound=Callable[..., Any])

_STYLES = {"+": "green", "-": "red", "~": "yellow", "!": "red"}

_PROGRAM = flag(
    "--program",
    (),
    "What the node shall hold: cpu_node, dpu_node ... (docs/datapath.md); default: by its role. "
    "Repeatable: all of them together.",
    multiple=True,
    type=click.Choice(list(PROGRAMS)),
    metavar="NAME",
)
_FILE = click.option(
    "--file",
    required=True,
    type=click.Path(path_type=Path),
    envvar="OFFMESH_FILE",
    show_envvar=True,
    help="The node: who it is, its pair, its pods (docs/datapath.md).",
)
_FILE_OF_NAMES = flag(
    "--file",
    None,
    "The node, for its names; default: those of the originals.",
    type=click.Path(path_type=Path),
)
_WHERE = (
    flag("--netns", "", "Network namespace of the node, by name or path; default: the one this runs in."),
    flag(
        "--backend",
        None,
        "Which iptables; default: the one the node uses.",
        type=click.Choice([backend.value for backend in Backend]),
    ),
    format_option("A text to read, or everything."),
    log_options,
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a node shall hold, and how it is reached."""

    desired: Program
    names: Names
    netns: str
    backend: Backend | None


def _asked(flags: dict[str, Any]) -> _Asked:
    """Return what the flags say; a command without ``--program`` wants nothing held."""
    names, desired = Names(), NOTHING
    if flags["file"] is not None:
        text, where = _read(flags["file"]), str(flags["file"])
        names = parse_names(text, where)
        if "program" in flags:
            desired = _program(flags["program"], parse_inputs(text, where), names)
    backend = Backend(flags["backend"]) if flags["backend"] else None
    return _Asked(desired, names, flags["netns"], backend)


def _with(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Add options to a command, in this order."""
    return lambda command: reduce(lambda made, add: add(made), reversed((*options, *_WHERE)), command)


@click.group()
def datapath() -> None:
    """Program the datapath of one node by hand: needs root, and no control plane."""


@datapath.command()
@_with(_PROGRAM, _FILE)
def plan(*, form: str, **flags: Any) -> None:
    """Print what `apply` would change, and by which commands. Nothing is touched."""
    kernel, found = asyncio.run(_look(_asked(flags)))
    _show(found, kernel, form, as_text(found, kernel.backend))


@datapath.command()
@_with(_PROGRAM, _FILE)
def apply(*, form: str, **flags: Any) -> None:
    """
    Make the node hold the program.

    Whole or, when a step fails, not at all; what has changed is printed.
    """
    _change(_asked(flags), form)


@datapath.command()
@_with(_PROGRAM, _FILE)
def check(*, form: str, **flags: Any) -> None:
    """Name what differs, and exit 1 if anything does. Nothing is touched."""
    kernel, found = asyncio.run(_look(_asked(flags)))
    ok = not (found.changes or found.clashes)
    _show(found, kernel, form, f"ok: the kernel holds {found.program}" if ok else changes_text(found))
    if not ok:
        sys.exit(1)


@datapath.command()
@_with(_FILE_OF_NAMES)
def clean(*, form: str, **flags: Any) -> None:
    """
    Leave no trace of any program.

    Except for the sysctls, which others may need by now; what is gone is printed.
    """
    _change(_asked(flags), form, cleaning=True)


async def _look(asked: _Asked, *, cleaning: bool = False) -> tuple[Kernel, Plan]:
    """Return the kernel that is meant, and what is to be done to it."""
    kernel = Kernel(netns=asked.netns)
    backend = await detect_backend(kernel, asked.names, asked.backend, cleaning=cleaning)
    kernel = replace(kernel, backend=backend)
    observed = await observe(kernel, asked.desired, asked.names)
    return kernel, plan_between(observed, asked.desired, asked.names)


def _change(asked: _Asked, form: str, *, cleaning: bool = False) -> None:
    kernel, done = asyncio.run(_do(asked, cleaning=cleaning))
    count = len(done.steps)
    steps = f"\ndone in {count} step{'s' * (count > 1)}" if count else ""
    _show(done, kernel, form, changes_text(done) + steps)


async def _do(asked: _Asked, *, cleaning: bool) -> tuple[Kernel, Plan]:
    """
    Carry out what is to be done.

    Raises:
        KernelError: others are in the way, something is lacking, a step failed, or it did not help.

    """
    kernel, found = await _look(asked, cleaning=cleaning)
    if found.clashes:
        raise KernelError(f"nothing is done, for others are in the way: {'; '.join(found.clashes)}")
    if not found.steps:
        return kernel, found
    if missing := await lacks(kernel, asked.desired):
        raise KernelError(f"nothing is done, for the node lacks something: {'; '.join(missing)}")
    await execute.apply(kernel, found.steps)
    _, rest = await _look(replace(asked, backend=kernel.backend), cleaning=cleaning)
    if rest.changes:
        raise KernelError(f"all steps are done, and the kernel still differs:\n{changes_text(rest)}")
    return kernel, found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"--file {path}: expected a text in UTF-8") from None


def _program(stated: tuple[str, ...], inputs: NodeInputs, names: Names) -> Program:
    chosen = stated or (DEFAULT_PROGRAMS[inputs.role],)
    return combine(*(PROGRAMS[name](inputs, names) for name in chosen))


def _show(shown: Plan, kernel: Kernel, form: str, text: str) -> None:
    if form == "json":
        click.echo(json.dumps(as_json(shown, kernel.backend), indent=2))
        return
    for line in text.splitlines():
        sign = line.strip()[:1] if line.startswith("  ") else ""
        click.echo(click.style(printable(line), fg=_STYLES.get(sign)))
