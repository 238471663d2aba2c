"""Every row of the benchmark: what is measured and what it must not exceed."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from bench import certificates, changing, connecting, starting
from bench.meshes import Meshes


class Figure(NamedTuple):
    """
    One number of a row: its target, and istiod's best, where there is one.

    It is to be at most its target, or at least, where more is better.
    """

    name: str
    unit: str
    target: float | None = None
    istiod: float | None = None
    more_is_better: bool = False

    def misses(self, value: float) -> bool:
        if self.target is None:
            return False
        return value < self.target if self.more_is_better else value > self.target

    def times_better(self, value: float) -> float | None:
        """Return how many times better than istiod a value is."""
        if self.istiod is None:
            return None
        if self.more_is_better:
            return value / self.istiod
        return self.istiod / value if value else inf


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
    Case(
        "governed",
        "5,000 pods, 2,000 services with waypoints, 500 policies, 200 streams: one pod changes, 2 a second",
        (Figure("p50", "ms", 12), Figure("p99", "ms", 40)),
        "-",
        changing.two_a_second_where_governed,
    ),
    Case(
        "governed-cost",
        "the same without clients: server CPU of one policy's change / of one pod's",
        (Figure("policy", "ms", 5), Figure("pod", "ms")),
        "-",
        changing.cost_where_governed,
    ),
    Case(
        "governed-start",
        "50,000 pods, 2,000 services with waypoints, 500 policies, 1,000 nodes: start to ready / memory",
        (Figure("ready", "s", 8), Figure("memory", "MB", 600)),
        "-",
        starting.start_where_governed,
    ),
    Case(
        "certificates",
        "certificates over TLS, 8 callers: a second / p50 / p99",
        (
            Figure("rate", "/s", 800, 167, more_is_better=True),
            Figure("p50", "ms", None, 43),
            Figure("p99", "ms", 30, 133),
        ),
        "167 /s / 43 / 133 ms",
        certificates.eight_callers,
    ),
    Case(
        "one-caller",
        "the same, 1 caller",
        (Figure("rate", "/s", None, 78, more_is_better=True),),
        "78 /s",
        certificates.one_caller,
    ),
    Case(
        "pushes",
        "8 callers, and 200 streams with 2 changes a second: change → client p50 / p99 / certificates",
        (
            Figure("p50", "ms"),
            Figure("p99", "ms", 60),
            Figure("rate", "/s", None, None, more_is_better=True),
        ),
        "-",
        certificates.pushes_meanwhile,
    ),
    Case(
        "storm",
        "2,000 requests for certificates at once: refused / p99 / slowest probe meanwhile",
        (Figure("refused", "", 0), Figure("p99", "s", 2), Figure("probe", "ms", 100)),
        "-",
        certificates.storm,
    ),
)
