"""Pods that change, and how long it took until each client knew."""

import json
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.layout import Size, namespace_name, pod_name, service_of
from bench.pods import pod

REVISION_MARK = "rev-"
"""Precedes the number that tells one state of a pod from the next; clients see it in the workload."""


class Change(NamedTuple):
    """A pod's new state, and when the file that has it was closed."""

    name: str
    revision: int
    at_ns: int


class Arrival(NamedTuple):
    """One resource as it reached one client."""

    client: int
    name: str
    revision: int
    at_ns: int


class ChangingPod:
    """A pod in a file of its own, which is rewritten in place."""

    def __init__(self, file: Path, size: Size, number: int) -> None:
        self._file = file
        text = json.dumps(pod(size, number, REVISION_MARK), separators=(",", ":"))
        self._head, self._tail = text.split(f'"{REVISION_MARK}"')
        self.name = f"Kubernetes//Pod/{namespace_name(service_of(size, number))}/{pod_name(size, number)}"

    def change(self, revision: int) -> Change:
        self._file.write_text(f'{self._head}"{REVISION_MARK}{revision}"{self._tail}')
        return Change(self.name, revision, time.time_ns())


class Changing(Protocol):
    """Something that a file holds."""

    def change(self, revision: int) -> Change: ...


def make_changes(objects: Sequence[Changing], count: int, per_second: float) -> list[Change]:
    """Change one object after the other at a steady rate; revisions go on rising with the clock."""
    first = time.time_ns()
    begun = time.monotonic()
    changes = []
    for number in range(count):
        time.sleep(max(0.0, begun + number / per_second - time.monotonic()))
        changes.append(objects[number % len(objects)].change(first + number))
    return changes


def latencies_ms(changes: Iterable[Change], arrivals: Iterable[Arrival], clients: int) -> list[float]:
    """
    Return how long each change took to each client; infinite when it did not come.

    A client that is sent a later state of the pod instead has the change at that moment.
    """
    known: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for client, name, revision, at_ns in arrivals:
        known[client, name].append((revision, at_ns))
    taken = []
    for change in changes:
        for client in range(clients):
            states = known[client, change.name]
            at = bisect_left(states, (change.revision, 0))
            taken.append((states[at][1] - change.at_ns) / 1e6 if at < len(states) else float("inf"))
    return taken
