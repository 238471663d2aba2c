"""Clients that come back as ztunnel does: with what they hold, by back-off, to the next of their servers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from bench.ztunnels import ADDRESS, Response, Ztunnel, Ztunnels

FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 15.0
_TURN_SECONDS = 0.005


class Held:
    """Versions by resource name, shared by all clients that were sent the same: they are not changed."""

    def __init__(self, versions: Mapping[str, str]) -> None:
        self.versions = versions
        self._received: dict[Response, Receipt] = {}

    def receive(self, response: Response) -> "Receipt":
        """Tell what a client holds after a response, and what of that was in vain."""
        if response not in self._received:
            self._received[response] = self._receive(response)
        return self._received[response]

    def _receive(self, response: Response) -> "Receipt":
        if response.type_url != ADDRESS:
            return Receipt(self, 0, 0)
        decoded = response.decode()
        sent = {resource.name: resource.version for resource in decoded.resources}
        resent = sum(self.versions.get(name) == version for name, version in sent.items())
        gone = self.versions.keys() & decoded.removed_resources
        left = {name: version for name, version in self.versions.items() if name not in gone}
        return Receipt(Held(left | sent), resent, len(gone))


class Receipt(NamedTuple):
    """What a response left a client with: how much it had already, and how much it lost."""

    held: Held
    resent: int
    removed: int


@dataclass(slots=True)
class Course:
    """Where one client is, or goes next and when; times are those of the monotonic clock."""

    held: Held
    server: int = 0
    pause: float = FIRST_PAUSE_SECONDS
    due: float = inf
    resent: int = 0
    removed: int = 0

    def lose(self, servers: int, now: float, established: bool) -> None:
        """Begin anew with the first server after a stream; go on with the next after a failure."""
        self.server = 0 if established else (self.server + 1) % servers
        self.pause = FIRST_PAUSE_SECONDS if established else self.pause
        self.due = now + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)


class MovingZtunnels(Ztunnels):
    """Clients that all begin with the first of their servers."""

    def __init__(self, servers: Sequence[str]) -> None:
        super().__init__(servers[0], self._take)
        self._servers = servers
        self.courses: list[Course] = []

    def __enter__(self) -> "MovingZtunnels":
        return self

    def open(self, count: int, versions: Mapping[str, str] | None = None) -> None:
        held = Held(versions or {})
        self.courses += [Course(held) for _ in range(count)]
        super().open(count, versions)

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Read and confirm, and come back where a stream was lost, until it is so or for this long."""
        deadline = time.monotonic() + seconds
        while not until() and (left := deadline - time.monotonic()) > 0:
            super().run(min(left, _TURN_SECONDS), until)
            self._move()

    def in_sync_on(self, server: str) -> bool:
        """Tell whether all are told of everything on this one."""
        number = self._servers.index(server)
        pairs = zip(self.clients, self.courses, strict=True)
        return all(course.server == number and one.synced_ns and not one.call.ended for one, course in pairs)

    def _take(self, client: Ztunnel, response: Response, _now_ns: int) -> None:
        course = self.courses[client.number]
        course.held, resent, removed = course.held.receive(response)
        course.resent += resent
        course.removed += removed

    def _move(self) -> None:
        now = time.monotonic()
        for client, course in zip(self.clients, self.courses, strict=True):
            if client.call.ended and course.due == inf:
                client.socket.close()
                course.lose(len(self._servers), now, established=bool(client.types))
            elif course.due <= now:
                course.due = inf
                self._reopen(client.number, course)

    def _reopen(self, number: int, course: Course) -> None:
        client = Ztunnel(number, self._servers[course.server], course.held.versions)
        self.clients[number] = client
        self._by_socket[client.socket.fileno()] = client
        self._poll.register(client.socket, client.awaiting)
