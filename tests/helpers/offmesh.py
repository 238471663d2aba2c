"""The real command, run as its users run it."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "bookinfo"
_START_SECONDS = 60.0


class Offmesh:
    """A running ``offmesh serve``."""

    def __init__(self, process: "subprocess.Popen[str]", bound: dict[str, str], folder: Path) -> None:
        self.process = process
        self.certs = folder / "certs"
        self.log = folder / "log"
        self.grpc = bound.get("grpc", "")
        self.secure = bound.get("secureGrpc", "")
        self.http = bound["http"]
        self.health = bound.get("health", "")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=20) as answer:
            return json.load(answer)

    @property
    def root(self) -> Path:
        """The roots to trust the secure port by."""
        return self.certs / "trust-bundle.pem"

    def token(self, pod: str, manifests: Path, *more: str) -> str:
        """Make a token with the real command."""
        command = [sys.executable, "-m", "xds_server", "token", f"--pod={pod}", f"--manifests={manifests}"]
        made = subprocess.run(
            [*command, f"--certs={self.certs}", *more], capture_output=True, text=True, check=True, cwd=ROOT
        )
        return made.stdout

    def secure_grpcurl(
        self, method: str, request: Any = "", token: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Call a method of the secure port; a text is sent as it is, anything else as JSON."""
        proof = ["-H", f"authorization: Bearer {token}"] if token else []
        stdin = request if isinstance(request, str) else json.dumps(request)
        asked = ["-d", "@", self.secure, method] if request else [self.secure, method]
        return grpcurl("-cacert", str(self.root), *proof, *asked, stdin=stdin, check=check)

    @contextmanager
    def open_call(self, method: str, token: str) -> Iterator["OpenCall"]:
        """Hold a call of a streaming method of the secure port open until the block ends."""
        proof = ["-H", f"authorization: Bearer {token}"]
        command = [_grpcurl(), "-cacert", str(self.root), *proof, "-d", "@", self.secure, method]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield OpenCall(process)
            finally:
                process.kill()

    def explains(self, node: str, identity: str) -> bool:
        """Ask the real command whether a node's ztunnel may have an identity."""
        asked = [f"--node={node}", f"--identity={identity}", f"--http-address={self.http}"]
        command = [sys.executable, "-m", "xds_server", "explain", *asked]
        told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        assert told.returncode in (0, 1), told.stderr
        return told.returncode == 0

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class OpenCall:
    """A call of grpcurl to which requests go, and from which responses come, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def send(self, request: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(request))
        self._process.stdin.flush()

    def receive(self) -> Any:
        """
        Wait for the next response, which grpcurl prints indented.

        Raises:
            EOFError: the call has ended; with what grpcurl told.

        """
        assert self._process.stdout
        text = ""
        for line in self._process.stdout:
            text += line
            if line.startswith("}") or line == "{}\n":
                return json.loads(text)
        assert self._process.stderr
        raise EOFError(f"the call has ended: {self._process.stderr.read()}")


@contextmanager
def serve(folder: Path, *flags: str, manifests: Path, cluster_conf: Path) -> Iterator[Offmesh]:
    """Serve manifests on free ports until the block ends; the log goes to ``folder/log``."""
    inputs = (f"--manifests={manifests}", f"--cluster-conf={cluster_conf}")
    with _served(folder, *inputs, f"--certs={folder / 'certs'}", *flags) as server:
        yield server


@contextmanager
def serve_cluster(folder: Path, kubeconfig: Path, *flags: str, **environment: str) -> Iterator[Offmesh]:
    """Serve the cluster of a kubeconfig, in the same way."""
    with _served(folder, f"--kubeconfig={kubeconfig}", *flags, **environment) as server:
        yield server


@contextmanager
def _served(folder: Path, *flags: str, **environment: str) -> Iterator[Offmesh]:
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    addresses = [f"--{name}-address=127.0.0.1:0" for name in ("grpc", "secure-grpc", "http", "health")]
    command = [sys.executable, "-m", "xds_server", "serve", *addresses]
    command += [f"--ready-file={ready}", "--drain-seconds=1", *flags]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, text=True, cwd=ROOT, env=os.environ | environment
        )
        try:
            yield Offmesh(process, _bound(process, ready, folder / "log"), folder)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(30)


def _bound(process: "subprocess.Popen[str]", ready: Path, log: Path) -> dict[str, str]:
    deadline = time.monotonic() + _START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"offmesh serve did not become ready:\n{log.read_text()}")
        time.sleep(0.02)
    bound: dict[str, str] = json.loads(ready.read_text())
    return bound


def grpcurl(*arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Call the real grpcurl."""
    plain = () if "-cacert" in arguments else ("-plaintext",)
    made = subprocess.run(
        [_grpcurl(), *plain, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not check or made.returncode == 0, made.stderr
    return made


def _grpcurl() -> str:
    """Return where grpcurl is; skip, or fail where CI must have it, when there is none."""
    path = os.pathsep.join([str(ROOT / ".tools"), os.environ.get("PATH", "")])
    found = shutil.which("grpcurl", path=path)
    if found is None:
        pytest.skip("grpcurl is not installed: `make tools` tells how")
    return found


def json_values(text: str) -> list[Any]:
    """Split the JSON values that grpcurl prints one after the other."""
    decoder, values, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        value, end = decoder.raw_decode(text, at)
        values.append(value)
        at = end + (len(text[end:]) - len(text[end:].lstrip()))
    return values
