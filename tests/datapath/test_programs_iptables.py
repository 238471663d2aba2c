"""What the programs say is what ``iptables-save`` says of it, word for word, with both backends."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.datapath.nodes import NAMES, NODE_OF, OTHER_NAMES, without_ztunnel
from xds_server.datapath.inputs import NodeInputs, WithoutZtunnel
from xds_server.datapath.names import Names
from xds_server.datapath.program import Program
from xds_server.datapath.programs import PROGRAMS

BACKENDS = ("iptables-nft", "iptables-legacy")


def _missing() -> str:
    if os.geteuid() != 0:
        return "network namespaces need root"
    tools = ("ip", "ipset", *(f"{backend}-restore" for backend in BACKENDS))
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    return f"{', '.join(lacking)} missing" if lacking else ""


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing())


def _run(*argv: str, stdin: str = "") -> str:
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def netns() -> Iterator[tuple[str, ...]]:
    """Commands that run in a namespace of their own."""
    name = f"programs-{os.getpid()}"
    _run("ip", "netns", "add", name)
    within = ("ip", "netns", "exec", name)
    for names in (NAMES, OTHER_NAMES):
        _run(*within, "ipset", "create", names.pods_set, "hash:ip", "comment")
    yield within
    _run("ip", "netns", "del", name)


def variants(inputs: NodeInputs) -> dict[str, NodeInputs]:
    return {
        "as is": inputs,
        "dns": replace(inputs, capture_dns=True),
        "plain": without_ztunnel(inputs, WithoutZtunnel.PLAIN),
        "blocked": without_ztunnel(inputs, WithoutZtunnel.BLOCK),
    }


@pytest.mark.parametrize("names", [NAMES, OTHER_NAMES], ids=["originals", "others"])
@pytest.mark.parametrize("variant", variants(NODE_OF["cpu_node"]))
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_program_is_read_back_as_it_was_written(
    netns: tuple[str, ...], backend: str, name: str, variant: str, names: Names
) -> None:
    program = PROGRAMS[name](variants(NODE_OF[name])[variant], names)
    lines = _lines(program)
    tables = "".join(f"*{table}\n" + "\n".join(lines[table]) + "\nCOMMIT\n" for table in lines)
    # Without --noflush each table is as if it were new.
    _run(*netns, f"{backend}-restore", stdin=tables)
    saved = {table: _run(*netns, f"{backend}-save", "-t", table).splitlines() for table in lines}
    read = {table: [line for line in saved[table] if line.startswith((":", "-A"))] for table in lines}
    assert {table: _without_builtins(each) for table, each in read.items()} == {
        table: sorted(each, key=_kind) for table, each in lines.items()
    }


def _lines(program: Program) -> dict[str, list[str]]:
    tables = {chain.table for chain in program.chains}
    lines = {}
    for table in tables:
        chains = [chain for chain in program.chains if chain.table is table]
        jumps = [f"-A {jump.builtin} -j {jump.chain}" for jump in program.jumps if jump.table is table]
        rules = [f"-A {chain.name} {' '.join(rule)}" for chain in chains for rule in chain.rules]
        lines[str(table)] = [*(f":{chain.name} - [0:0]" for chain in chains), *jumps, *rules]
    return lines


def _without_builtins(saved: list[str]) -> list[str]:
    return sorted((line for line in saved if not line.startswith(":") or " - " in line), key=_kind)


def _kind(line: str) -> tuple[str, str]:
    """Order by chain: backends print chains in orders of their own, and the rules of one as they are."""
    return (line[0], line.split()[1] if line.startswith("-A") else line)
