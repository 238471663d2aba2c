"""The real command on the nodes of the lab: an agent for each, as an operator runs it."""

import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.helpers.offmesh import ROOT

END_SECONDS = 30


class Agents:
    """Agents by node; their logs and what they keep are in a folder for each."""

    def __init__(self, netns: Mapping[str, str], folder: Path, server: str) -> None:
        """Of nodes in these namespaces; ``server`` is its plaintext address."""
        self._netns = netns
        self._folder = folder
        self._server = server
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, nodes: Iterable[str], *flags: str) -> None:
        for node in nodes:
            folder = self._folder / node
            folder.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "xds_server", "agent", f"--node={node}", "--insecure"]
            command += [f"--discovery-address={self._server}", f"--netns={self._netns[node]}"]
            command += [f"--state-dir={folder / 'state'}", *flags]
            with self.log(node).open("ab") as log:
                self.running[node] = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)

    def log(self, node: str) -> Path:
        return self._folder / node / "log"

    def told(self, node: str) -> str:
        return self.log(node).read_text()

    def stop(self, node: str, number: signal.Signals = signal.SIGTERM) -> int:
        """End an agent and return its exit code."""
        process = self.running.pop(node)
        process.send_signal(number)
        return process.wait(END_SECONDS)

    def stop_all(self) -> None:
        for node in list(self.running):
            self.stop(node, signal.SIGKILL)
