"""The floor: what agents have the kernel hold, put there by the tools alone."""

import time
from collections.abc import Iterable, Sequence
from statistics import median

from bench.datapath_changing import CONNECTIONS, PODS
from bench.datapath_lab import CPU, DatapathLab, datapath_lab
from tests.helpers.lab.namespaces import Namespace
from tests.helpers.lab.programming import kernel_of, planned
from xds_server.datapath.commands import Command, commands_of
from xds_server.datapath.kernel import Backend
from xds_server.datapath.steps import TagConnections

_ROUNDS = 5
_SAME_AGAIN = 15


def first_load(backend: Backend, pods: int = PODS, rounds: int = _ROUNDS) -> tuple[float, ...]:
    """
    Return ms to load a CPU node's content, a process for each: ipset, ip, sysctl, iptables; and all of them.

    Raises:
        RuntimeError: the content is another than the agent's.

    """
    taken = []
    for _ in range(rounds):
        with datapath_lab(pods) as lab:
            taken.append(_load(lab, backend))
    each = [median(column) for column in zip(*taken, strict=True)]
    return (*each, median(sum(columns) for columns in taken))


def one_pod(backend: Backend, pods: int = PODS, times: int = _SAME_AGAIN) -> tuple[float, ...]:
    """Return ms for one pod: ``ipset restore``, ``ip -batch``, and a listing of tracked connections."""
    with datapath_lab(pods) as lab:
        _load(lab, backend)
        lab.open_connections(CPU, CONNECTIONS)
        inside, pod = lab.inside[CPU], lab.pods[-1]
        member = f"add {lab.set_name} {pod.address} comment uid-of-{pod.name}\n"
        shown = inside.run("ip", "route", "show", "table", "100", str(pod.address))
        route = f"route replace {shown.strip()} table 100 proto 76\n"
        return (
            _typical(times, inside, ("ipset", "-exist", "restore"), member),
            _typical(times, inside, ("ip", "-batch", "-"), route),
            _typical(times, inside, ("conntrack", "-L", "--mark", "0/0x220")),
        )


def looks(backend: Backend, pods: int = PODS, times: int = _SAME_AGAIN) -> tuple[float, ...]:
    """Return ms to look at a CPU node: ``iptables-save``, ``ipset save``, ``ip`` for routes, for links."""
    with datapath_lab(pods) as lab:
        _load(lab, backend)
        inside = lab.inside[CPU]
        return (
            _typical(times, inside, (backend.tool("save"),)),
            _typical(times, inside, ("ipset", "save")),
            _typical(times, inside, ("ip", "route", "show", "table", "all")),
            _typical(times, inside, ("ip", "-details", "address")),
        )


def _load(lab: DatapathLab, backend: Backend) -> list[float]:
    inside, node = lab.inside[CPU], lab.topology.node(CPU)
    kernel, program = kernel_of(inside, backend), lab.wanted.program(node)
    steps = [each.step for each in planned(kernel, program).steps]
    commands = [
        command
        for step in steps
        if not isinstance(step, TagConnections)  # there are no connections yet
        for command in commands_of(step, backend)
    ]
    restore = (backend.tool("restore"), "-w", "5", "--noflush")
    taken = [
        _timed(inside, ("ipset", "-exist", "restore"), _read_by(commands, "ipset")),
        _timed(inside, ("ip", "-batch", "-"), _words_of(commands, "ip")),
        _timed(inside, ("sysctl", "-q", "-p", "-"), [words[-1] for words in _argvs(commands, "sysctl")]),
        _timed(inside, restore, _read_by(commands, backend.tool("restore"))),
    ]
    if left := planned(kernel, program).changes:
        raise RuntimeError(f"the tools have not loaded what the agent has: {left}")
    return taken


def _argvs(commands: Iterable[Command], tool: str) -> list[tuple[str, ...]]:
    return [command.argv for command in commands if command.argv[0] == tool]


def _words_of(commands: Iterable[Command], tool: str) -> list[str]:
    return [" ".join(argv[1:]) for argv in _argvs(commands, tool)]


def _read_by(commands: Iterable[Command], tool: str) -> list[str]:
    return [line for command in commands if command.argv[0] == tool for line in command.stdin]


def _timed(inside: Namespace, argv: Sequence[str], lines: Iterable[str]) -> float:
    text = "".join(f"{line}\n" for line in lines)
    begun = time.perf_counter()
    inside.run(*argv, stdin=text)
    return (time.perf_counter() - begun) * 1e3


def _typical(times: int, inside: Namespace, argv: Sequence[str], text: str = "") -> float:
    return median(_timed(inside, argv, text.splitlines()) for _ in range(times))
