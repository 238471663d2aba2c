"""A running stub of ztunnel, and what it tells."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.helpers.lab.namespaces import Namespace
from tests.helpers.lab.wanted import Wanted

_PROGRAM = Path(__file__).with_name("stub_ztunnel.py")


class Proxy:
    """Listens as soon as it is made."""

    def __init__(self, name: str, namespace: Namespace, flavour: str) -> None:
        self.name = name
        self._process = namespace.start(sys.executable, "-I", str(_PROGRAM), flavour)
        assert self._process.stdin and self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout.fileno()
        self._text = b""
        self._next()
        os.set_blocking(self._stdout, False)

    def learn(self, wanted: Wanted) -> None:
        """Tell it the mesh; on return it goes by it."""
        topology = wanted.topology
        addresses = {pod.name: str(pod.address) for pod in topology.pods}
        served = [pod.name for pod in topology.pods_served(self.name) if pod.name in wanted.meshed]
        mesh = {
            "meshed": [addresses[name] for name in sorted(wanted.meshed)],
            "local": [addresses[name] for name in served],
            "services": {
                f"{service.address}:{service.port}": (addresses[service.backend], service.target)
                for service in topology.services
            },
        }
        os.set_blocking(self._stdout, True)
        self._stdin.write(json.dumps(mesh) + "\n")
        self._stdin.flush()
        while "mesh" not in self._next():
            pass
        os.set_blocking(self._stdout, False)

    def read_log(self) -> list[dict[str, Any]]:
        """Return what it told since it was last asked."""
        while True:
            try:
                read = os.read(self._stdout, 1 << 16)
            except BlockingIOError:
                break
            if not read:
                break
            self._text += read
        *lines, self._text = self._text.split(b"\n")
        return [json.loads(line) for line in lines]

    def ways(self) -> tuple[str, ...]:
        """Return how it took each connection since its log was last read."""
        return tuple(line["way"] for line in self.read_log() if "way" in line)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _next(self) -> dict[str, Any]:
        """Wait for the next line."""
        while b"\n" not in self._text:
            read = os.read(self._stdout, 1 << 16)
            if not read:
                raise RuntimeError(f"the stub of {self.name} has ended")
            self._text += read
        line, _, self._text = self._text.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told
