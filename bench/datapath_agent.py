"""A running ``offmesh agent`` on a node of the lab, by the plaintext port or by TLS, and what it costs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from bench.server import ROOT
from tests.helpers.lab.namespaces import Namespace

_SECONDS = 60.0
_HELD = '"message":"held: '
_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """In MB; of what is resident, ``anonymous`` is not of files that others may have open as well."""

    resident: float
    anonymous: float


class AgentProcess:
    """``log`` is what it tells, a JSON object a line."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log

    def held(self) -> float:
        """
        Wait until it tells that the kernel holds what is said; return when, by the clock on the wall.

        Raises:
            RuntimeError: it does not; the message holds its log.

        """
        deadline = time.monotonic() + _SECONDS
        while True:
            found = (line for line in self._log.read_text().splitlines() if _HELD in line)
            if line := next(found, ""):
                return datetime.fromisoformat(json.loads(line)["time"]).timestamp()
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"offmesh agent holds nothing:\n{self._log.read_text()}")
            time.sleep(0.01)

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Let it do nothing until the block ends."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def cpu_seconds(self) -> float:
        """Processor time used so far by it and by the commands it ran."""
        stat = Path("/proc", str(self._process.pid), "stat").read_text()
        return sum(map(int, stat.rpartition(")")[2].split()[11:15])) / _TICKS

    @property
    def memory(self) -> Memory:
        status = Path("/proc", str(self._process.pid), "status").read_text()
        found = dict(line.partition(":")[::2] for line in status.splitlines())
        resident, anonymous = (int(found[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "RssAnon"))
        return Memory(resident, anonymous)


@contextmanager
def agent_on(node: str, inside: Namespace, folder: Path, flags: Sequence[str]) -> Iterator[AgentProcess]:
    """
    Run an agent until the block ends; what it keeps is below ``folder``.

    Raises:
        RuntimeError: it ended by itself; the message holds its log.

    """
    own = folder / f"agent-{node}"
    own.mkdir()
    command = [sys.executable, "-m", "xds_server", "agent", f"--node={node}", f"--netns={inside.name}"]
    command += [f"--state-dir={own / 'state'}", "--log-format=json", *flags]
    log = own / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield AgentProcess(process, log)
    finally:
        ended = process.poll()
        process.kill()
        process.wait()
        if ended is not None:
            raise RuntimeError(f"offmesh agent ended by itself with code {ended}:\n{log.read_text()}")
