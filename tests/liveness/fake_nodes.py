"""An API server that only knows of Nodes and Events: it answers as told, and what it tells may come late."""

import asyncio
from collections import Counter
from typing import Any, cast

from tests.liveness.watched_pairs import WatchedPairs, node
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.request import Request, refusal
from xds_server.exceptions import ClusterError


class FakeNodes:
    """
    Takes patches of conditions, and Events.

    ``codes`` are the answers by the last part of a path, 200 where nothing is set; ``tells`` is whether
    the registry hears of what was written.
    """

    def __init__(self, pairs: WatchedPairs) -> None:
        self.codes: dict[str, int] = {}
        self.is_away = False
        self.tells = True
        self.calls: list[tuple[float, str]] = []
        self.conditions: dict[str, dict[str, str]] = {}
        self.events: list[tuple[str, str, str]] = []
        self._pairs = pairs
        self._ready: dict[str, str] = {}
        self._told: dict[str, str] = {}

    @property
    def connection(self) -> ApiConnection:
        return cast("ApiConnection", self)

    def count(self) -> Counter[str]:
        """Return how often each path was called."""
        return Counter(path for _, path in self.calls)

    async def ask(self, request: Request) -> bytes:
        code, content = await self.call(request)
        if code != 200:
            raise refusal(request, code, content)
        return content

    async def call(self, request: Request) -> tuple[int, bytes]:
        await asyncio.sleep(0)
        name = "events" if request.method == "POST" else request.path.split("/")[-2]
        self.calls.append((self._pairs.now, name))
        if self.is_away:
            raise ClusterError("the API server is away")
        code = self.codes.get(name, 200)
        if code == 200:
            self._take(name, request.body or {})
        return code, b"{}"

    def _take(self, name: str, body: dict[str, Any]) -> None:
        if name == "events":
            self.events.append((body["involvedObject"]["name"], body["type"], body["reason"]))
            return
        (condition,) = body["status"]["conditions"]
        if condition.pop("$patch", "") == "delete":
            self.conditions.pop(name, None)
        else:
            self.conditions[name] = self.conditions.get(name, {}) | condition
        if self.tells:
            self.tell(name)

    def make_ready(self, name: str, ready: str = "True") -> None:
        """Let the registry hear that a node is ready, or not, and nothing new of its pair."""
        self._ready[name] = ready
        self._put(name)

    def tell(self, name: str, status: str | None = None) -> None:
        """Let the registry hear what a Node says of its pair, by default just what was written there."""
        written = self.conditions.get(name, {}).get("status", "")
        self._told[name] = written if status is None else status
        self._put(name)

    def _put(self, name: str) -> None:
        self._pairs.put(node(name, self._ready.get(name, "True"), self._told.get(name, "")))
