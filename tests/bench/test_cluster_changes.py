"""Changes that an API server acknowledges: made at their rate, and timed from the answer."""

import asyncio
from math import inf
from pathlib import Path
from typing import Any

import pytest

from bench.changes import Arrival, Change
from bench.cluster_changes import change_pods, made_per_second, since_acknowledged_ms
from bench.layout import Size
from tests.helpers.cluster_client import ClusterClient

MS = 1_000_000
AT = 1_000 * MS
SIZE = Size(pods=4, services=2, nodes=4)


class SlowApiServer(ClusterClient):
    """Answers each request when the event loop has gone round; counts those that wait meanwhile."""

    def __init__(self) -> None:
        super().__init__("https://nowhere.example", Path("/nowhere"))
        self.patched: list[tuple[str, str]] = []
        self.waiting = self.most_waiting = 0
        self.closed = False

    async def request(self, method: str, path: str, body: Any = None, *_: Any, **__: Any) -> Any:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        self.patched.append((path, body["metadata"]["labels"]["version"]))
        return body

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("arrived_ms", "taken"),
    [
        pytest.param([4], [4.0], id="after the acknowledgement"),
        pytest.param([0], [0.0], id="with it"),
        pytest.param([-3], [0.0], id="before it"),
        pytest.param([], [inf], id="never"),
    ],
)
def test_a_change_takes_from_its_acknowledgement(arrived_ms: list[int], taken: list[float]) -> None:
    arrivals = [Arrival(0, "a", 7, AT + ms * MS) for ms in arrived_ms]
    assert list(since_acknowledged_ms([Change("a", 7, AT)], arrivals, clients=1)) == taken


def test_the_rate_is_that_of_the_acknowledgements_in_whatever_order_they_came() -> None:
    changes = [Change("a", number, AT + 10 * MS * number) for number in (2, 0, 1)]
    assert made_per_second(changes) == pytest.approx(100.0)


async def test_pods_are_changed_in_turn_and_each_state_is_told_from_the_others() -> None:
    server = SlowApiServer()
    changes = await change_pods(server, SIZE, pods=3, count=7, per_second=1e6)
    names = [change.name for change in sorted(changes, key=lambda change: change.revision)]
    assert names == (names[:3] * 3)[:7]
    assert len(set(names)) == 3
    assert sorted(version for _, version in server.patched) == [
        f"rev-{change.revision}" for change in sorted(changes, key=lambda change: change.revision)
    ]
    assert {path.rpartition("/")[2] for path, _ in server.patched} == {
        name.rpartition("/")[2] for name in names
    }
    assert server.closed


async def test_changes_wait_for_a_free_connection_of_several() -> None:
    server = SlowApiServer()
    await change_pods(server, SIZE, pods=3, count=50, per_second=1e6)
    assert 1 < server.most_waiting <= 8
