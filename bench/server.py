"""A running ``offmesh serve``, and what it costs as the kernel counts it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]

_START_SECONDS = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")


class Server:
    """The server's process with those it starts, and where it listens."""

    def __init__(self, pid: int, bound: Mapping[str, str], start_seconds: float) -> None:
        self.pid = pid
        self.grpc = bound["grpc"]
        self.secure = bound["secureGrpc"]
        self.http = bound["http"]
        self.start_seconds = start_seconds

    @property
    def _folders(self) -> list[Path]:
        own = Path("/proc") / str(self.pid)
        children = [pid for task in own.glob("task/*/children") for pid in task.read_text().split()]
        return [own, *(Path("/proc") / pid for pid in children)]

    @property
    def cpu_seconds(self) -> float:
        """Processor time used so far, by all threads and processes, in user and kernel mode."""
        stats = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in self._folders]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / _TICKS

    @property
    def resident_mb(self) -> float:
        """What is resident, what processes share counted for each."""
        return sum(int((folder / "statm").read_text().split()[1]) for folder in self._folders) * _PAGE / 1e6

    @property
    def peak_mb(self) -> float:
        """The most each process ever had resident, in sum."""
        return sum(_peak_kb(folder) for folder in self._folders) * 1024 / 1e6


def _peak_kb(folder: Path) -> int:
    status = (folder / "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])


@contextmanager
def serving(mesh: Path, *flags: str) -> Iterator[Server]:
    """
    Serve what ``bench/mesh.py`` wrote, on free ports, until the block ends.

    Raises:
        RuntimeError: it did not become ready, or it ended by itself; the message holds its log.

    """
    ready, log = mesh / "ready.json", mesh / "server.log"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "xds_server", "serve", "--manifests", str(mesh / "mesh")]
    command += ["--cluster-conf", str(mesh / "cluster-conf.yaml"), "--ready-file", str(ready)]
    command += ["--certs", str(mesh / "certs"), *flags]
    for port in ("grpc", "secure-grpc", "http", "health"):
        command += [f"--{port}-address", "127.0.0.1:0"]
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > begun + _START_SECONDS:
                raise RuntimeError(f"offmesh serve did not become ready:\n{log.read_text()}")
            time.sleep(0.005)
        seconds = time.monotonic() - begun
        yield Server(process.pid, json.loads(ready.read_text()), seconds)
    finally:
        ended = process.poll()
        process.kill()
        process.wait()
        if ended is not None:
            raise RuntimeError(f"offmesh serve ended by itself with code {ended}:\n{log.read_text()}")
