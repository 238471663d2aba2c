"""How soon a node's kernel holds what its agent is told: all at first, and one pod."""

import time
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from bench.datapath_lab import CPU, DPU
from bench.datapath_pair import RunningPair, running_pair
from tests.helpers.lab.topology import Pod
from xds_server.datapath.kernel import Backend

PODS = 250
CONNECTIONS = 1_000
"""That each node tracks meanwhile."""
_ROUNDS, _CHANGES = 5, 20
_SETTLED_SECONDS = 3.0
_PAUSE_SECONDS = 0.7
"""Between changes: in it the agent has looked at the kernel again."""


class Taken(NamedTuple):
    """In ms, until the kernel had changed: since the agent was told, and since the manifest was written."""

    told: float
    written: float


def first_apply(backend: Backend, pods: int = PODS, rounds: int = _ROUNDS) -> tuple[float, ...]:
    """Return ms from when an agent was told of its node until it told that this is held: CPU, DPU node."""
    taken = []
    for _ in range(rounds):
        with running_pair(pods, backend) as pair:
            taken.append([pair.nodes[name].first_apply_seconds * 1e3 for name in (CPU, DPU)])
    return tuple(median(each) for each in zip(*taken, strict=True))


def one_pod(backend: Backend, pods: int = PODS, changes: int = _CHANGES) -> tuple[float, ...]:
    """
    Return medians in ms, of a pod that was meshed already running, and of one that is meshed no longer.

    On the CPU node: added, removed, from when its agent was told; the same on the DPU node; and from when the
    manifest was written until both nodes had changed.
    """
    with running_pair(pods, backend) as pair:
        for name in (CPU, DPU):
            pair.lab.open_connections(name, CONNECTIONS)
        time.sleep(_SETTLED_SECONDS)
        told: list[float] = []
        for name in (CPU, DPU):
            with pair.alone(name):
                told += _added_and_removed(pair, name, changes)
            time.sleep(_SETTLED_SECONDS)
        whole = [
            max(taken.written for taken in each.values()) for each in _changed(pair, (CPU, DPU), changes)
        ]
    return (*told, median(whole))


def _added_and_removed(pair: RunningPair, name: str, changes: int) -> tuple[float, float]:
    taken = [each[name].told for each in _changed(pair, (name,), 2 * changes)]
    return median(taken[1::2]), median(taken[::2])


def _changed(pair: RunningPair, names: tuple[str, ...], changes: int) -> Iterator[dict[str, Taken]]:
    """Yield what changes took; the pod is meshed before the first, so each other one adds it."""
    pod = pair.lab.pods[-1]
    for number in range(changes):
        yield _change(pair, names, pod, meshed=number % 2 == 1)
        time.sleep(_PAUSE_SECONDS)


def _change(pair: RunningPair, names: tuple[str, ...], pod: Pod, *, meshed: bool) -> dict[str, Taken]:
    begun = time.time()
    pair.manifests.mesh(pod, meshed=meshed)
    written, taken = time.time(), {}
    for name in names:
        node = pair.nodes[name]
        changed = node.news.changed(pod.address, begun, meshed=meshed)
        told = node.relay.first_after(begun)
        taken[name] = Taken((changed - told) * 1e3, (changed - written) * 1e3)
    return taken
