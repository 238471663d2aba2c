"""Clients of a running server: many in a process of their own, or one in this."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.changes import Arrival
from bench.server import ROOT
from bench.ztunnels import ADDRESS, Response, Ztunnel, Ztunnels

_SETTLE_SECONDS = 120.0
_HOLD_SECONDS = 600.0


class HeldClients:
    """Many clients in a process of their own, in sync and open."""

    def __init__(self, process: "subprocess.Popen[str]", arrivals: Path) -> None:
        assert process.stdout is not None  # noqa: S101 - it was opened as a pipe
        self._process = process
        self._output = process.stdout
        self._arrivals = arrivals
        self.summary: dict[str, Any] = json.loads(self._output.readline())

    def stop(self) -> list[Arrival]:
        """Close them; return all that was pushed to them since they were in sync."""
        self._process.send_signal(signal.SIGINT)
        lost = json.loads(self._output.readline())["lost"]
        self._process.wait()
        if lost:
            raise RuntimeError(f"of {self.summary['clients']} clients some lost their stream: {lost}")
        return [Arrival(*row) for row in json.loads(self._arrivals.read_text())]


@contextmanager
def held_clients(address: str, count: int, scratch: Path) -> Iterator[HeldClients]:
    """Connect clients at once and keep them open; ``scratch`` is a folder for what they note."""
    arrivals = scratch / "arrivals.json"
    arguments = ["--address", address, "--clients", str(count), "--hold", str(_HOLD_SECONDS)]
    arguments += ["--settle", str(_SETTLE_SECONDS), "--arrivals", str(arrivals)]
    command = [sys.executable, str(ROOT / "bench" / "load.py"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield HeldClients(process, arrivals)
    finally:
        process.kill()
        process.wait()


class OneClient:
    """One client in this process, which remembers the versions it is told."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._resources = 0
        self.versions: dict[str, str] = {}

    def synchronize(self) -> int:
        """Connect holding what it knows, until told of each type once; return the resources sent."""
        self._resources = 0
        with Ztunnels(self._address, self._receive) as clients:
            clients.open(1, self.versions)
            clients.run(_SETTLE_SECONDS, until=lambda: clients.all_told)
        client = clients.clients[0]
        if not client.synced_ns:
            raise RuntimeError(f"the client is not in sync: {client.call.ended or 'too late'}")
        return self._resources

    def _receive(self, _client: Ztunnel, response: Response, _now_ns: int) -> None:
        self._resources += response.resources
        if response.type_url == ADDRESS:
            sent = response.decode().resources
            self.versions |= {resource.name: resource.version for resource in sent}
