"""The rows that are measured with a real API server: what is measured and what it must not exceed."""

from collections.abc import Callable
from functools import partial

from bench import cluster_changing, cluster_failing, cluster_starting
from bench.cases import Case, Figure
from bench.meshes import Meshes

OUTAGE_SECONDS = 120.0


def cluster_cases(outage_seconds: float = OUTAGE_SECONDS) -> tuple[Case, ...]:
    """Return the rows; in the last the API server is gone for so many seconds."""
    return (*_STEADY_CASES, _outage(outage_seconds))


def _alone(measure: Callable[[], tuple[float, ...]]) -> Callable[[Meshes], tuple[float, ...]]:
    """Adapt what stores its mesh in an API server of its own."""
    return lambda _meshes: measure()


def _outage(seconds: float) -> Case:
    return Case(
        "cluster-outage",
        f"the same, API server gone for {seconds:g} s: streams lost / responses until 30 s after its return",
        (Figure("lost", "", 0), Figure("responses", "", 0)),
        "-",
        _alone(partial(cluster_failing.api_server_gone, seconds)),
    )


_STEADY_CASES = (
    Case(
        "cluster-start",
        "API server, 5,000 pods, 500 services, 100 nodes: start to ready",
        (Figure("ready", "s", 2.0, 1.4),),
        "1.4 to 1.6 s",
        _alone(cluster_starting.usual),
    ),
    Case(
        "cluster-start-large",
        "API server, 50,000 pods, 2,000 services, 1,000 nodes: start to ready / server CPU / memory",
        (Figure("ready", "s", 8, 19.3), Figure("CPU", "s", 8, 26), Figure("memory", "MB", 600, 1390)),
        "19.3 s / 26 s / 1.39 GB",
        _alone(cluster_starting.large),
    ),
    Case(
        "cluster-change",
        "API server, 5,000 pods, 200 streams: pod's change acknowledged → client, 2 a second / made a second",
        (
            Figure("p50", "ms", 15, 108),
            Figure("p99", "ms", 45, 117),
            Figure("made", "/s", 1.9, more_is_better=True),
        ),
        "108 / 117 ms",
        _alone(cluster_changing.two_a_second),
    ),
    Case(
        "cluster-changes",
        "the same, 100 changes a second for 5 s",
        (
            Figure("p50", "ms", 30, 2965),
            Figure("p99", "ms", 100, 5584),
            Figure("made", "/s", 95, more_is_better=True),
        ),
        "2,965 / 5,584 ms",
        _alone(cluster_changing.hundred_a_second),
    ),
    Case(
        "cluster-replica",
        "one of two replicas killed under 200 clients: all in sync on the other / sent again unchanged / "
        "wrong removals",
        (Figure("in sync", "s", 5), Figure("resent", "", 0), Figure("removed", "", 0)),
        "-",
        _alone(cluster_failing.replica_killed),
    ),
)
