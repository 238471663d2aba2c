"""
Play many ztunnels against an xDS server and measure it from outside.

    python bench/load.py --address 127.0.0.1:15010 --clients 400
    python bench/load.py --address 127.0.0.1:15010 --clients 200 --hold 10 --arrivals /tmp/arrivals.json

Prints a JSON line as soon as all clients hold the mesh. With ``--hold`` it then keeps the streams
open and notes what is pushed, until the time is over or it is interrupted (SIGINT); ``--arrivals``
gets ``[client, resource name, revision, nanoseconds since the epoch]`` of each resource pushed
whose content has a revision: the number that follows ``--mark``.
"""

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a script, not installed

from bench.changes import REVISION_MARK, Arrival
from bench.figures import percentile
from bench.ztunnels import Response, Ztunnel, Ztunnels


class Recorder:
    """Counts what arrives; keeps what is pushed while held, to be looked at afterwards."""

    def __init__(self) -> None:
        self.resources = 0
        self.bytes = 0
        self.holding = False
        self._pushed: list[tuple[int, Response, int]] = []

    def receive(self, client: Ztunnel, response: Response, now_ns: int) -> None:
        self.resources += response.resources
        self.bytes += len(response.body)
        if self.holding:
            self._pushed.append((client.number, response, now_ns))

    def arrivals(self, mark: str) -> Iterator[Arrival]:
        """Yield every pushed resource that has a revision."""
        marked = re.compile(re.escape(mark.encode()) + rb"(\d+)")
        revisions: dict[Response, list[tuple[str, int]]] = {}
        for client, response, now_ns in self._pushed:
            if response not in revisions:
                revisions[response] = list(_revisions(response, marked))
            for name, revision in revisions[response]:
                yield Arrival(client, name, revision, now_ns)


def _revisions(response: Response, marked: "re.Pattern[bytes]") -> Iterator[tuple[str, int]]:
    for resource in response.decode().resources:
        if found := marked.search(resource.resource.value):
            yield resource.name, int(found[1])


def summary(clients: Ztunnels, recorder: Recorder) -> dict[str, Any]:
    """Tell of the first synchronization; times in seconds from before the first connection."""
    synced = [client.synced_ns for client in clients.clients if client.synced_ns]
    seconds = [(at - clients.opened_ns) / 1e9 for at in synced]
    return {
        "clients": len(clients.clients),
        "synced": len(synced),
        "refused": len(clients.clients) - len(synced),
        "sync_p50_s": percentile(seconds, 0.50),
        "sync_p99_s": percentile(seconds, 0.99),
        "sync_max_s": percentile(seconds, 1.0),
        "resources": recorder.resources,
        "mb": recorder.bytes / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Play many ztunnels against an xDS server.")
    parser.add_argument("--address", default="127.0.0.1:15010", metavar="HOST:PORT")
    parser.add_argument("--clients", type=int, default=1, metavar="N")
    parser.add_argument(
        "--settle", type=float, default=60.0, metavar="SECONDS", help="limit of the first sync"
    )
    parser.add_argument("--hold", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--mark", default=REVISION_MARK, metavar="TEXT")
    parser.add_argument("--arrivals", type=Path, metavar="FILE")
    given = parser.parse_args()
    recorder = Recorder()
    with Ztunnels(given.address, recorder.receive) as clients:
        clients.open(given.clients)
        clients.run(given.settle, until=lambda: clients.all_told)
        print(json.dumps(summary(clients, recorder)), flush=True)
        if given.hold:
            recorder.holding = True
            with contextlib.suppress(KeyboardInterrupt):
                clients.run(given.hold)
            print(json.dumps({"lost": clients.ended}), flush=True)
    if given.arrivals:
        given.arrivals.write_text(json.dumps(list(recorder.arrivals(given.mark))))


if __name__ == "__main__":
    main()
