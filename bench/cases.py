"""Every row of the benchmark: what is measured and what it must not exceed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from bench import changing, connecting, starting
from bench.meshes import Meshes


class Figure(NamedTuple):
    """One number of a row: at most what it should be, and the least that istiod took, where there is one."""

    name: str
    unit: str
    target: float | None = None
    istiod: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A row: ``measure`` returns a value for each figure, in their order."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    istiod: str
    measure: Callable[[Meshes], tuple[float, ...]]


CASES = (
    Case(
        "change",
        "5,000 pods, 500 services, 200 streams: one pod changes, 2 a second: change → client",
        (Figure("p50", "ms", 12, 108), Figure("p99", "ms", 40, 117)),
        "108 / 117 ms",
        changing.two_a_second,
    ),
    Case(
        "changes",
        "the same, 100 changes a second for 5 s",
        (Figure("p50", "ms", 25, 2965), Figure("p99", "ms", 80, 5584)),
        "2,965 / 5,584 ms",
        changing.hundred_a_second,
    ),
    Case(
        "connect",
        "400 clients connect at once: refused / last in sync / server CPU",
        (Figure("refused", "", 0), Figure("last", "s", 2.5, 3.6), Figure("CPU", "s", 1.2, 4.7)),
        "0 (74 of 100 at default settings) / 3.6 to 5.0 s / 4.7 s",
        connecting.four_hundred,
    ),
    Case(
        "memory",
        "resident memory, 5,000 pods: idle / with 400 clients",
        (Figure("idle", "MB", 120, 270), Figure("clients", "MB", 180, 640)),
        "270 to 295 / 640 MB",
        connecting.memory,
    ),
    Case(
        "start",
        "50,000 pods, 2,000 services, 1,000 nodes: start to ready / memory",
        (Figure("ready", "s", 8, 19.3), Figure("memory", "MB", 600, 1390)),
        "19.3 s / 1.39 GB (from an API server)",
        starting.start,
    ),
    Case(
        "connect-large",
        "the same, 20 clients at once, last in sync",
        (Figure("last", "s", 2.5, 6.0),),
        "6.0 s",
        connecting.twenty_of_a_large_mesh,
    ),
    Case(
        "reconnect",
        "a client that holds all 50,000 reconnects: resources sent again / server CPU",
        (Figure("sent", "", 0), Figure("CPU", "ms", 100)),
        "-",
        connecting.reconnect,
    ),
    Case(
        "scale",
        "server CPU of one pod's change without clients: 50,000 pods ÷ 1,000 pods / at 1,000 pods",
        (Figure("ratio", "x", 1.5), Figure("1,000 pods", "ms")),
        "-",
        changing.cost_by_size,
    ),
)
