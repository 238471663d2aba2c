"""Programs that tests need and Python does not bring: found, started and ended with the tests."""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools"
_PORTS = range(20_000, 30_000)


def tool(name: str) -> str:
    """Return the path of a program; a test that needs a missing one is skipped, which CI does not allow."""
    found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is missing: `make tools` installs it, or says what it takes")
    return found


def free_ports(count: int) -> list[int]:
    """
    Return ports that nobody has.

    The kernel gives none of them to an outgoing connection, so a server that is down can have its port again.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            port, one = secrets.choice(_PORTS), held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
    return found


def start(log: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a program that writes to ``log`` and does not outlive the thread that started it."""
    with log.open("ab") as written:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command], stdout=written, stderr=subprocess.STDOUT
        )


def says(command: Sequence[str], words: bytes) -> bool:
    """Tell whether what a command prints has these words in it."""
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return words in made.stdout


async def kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.kill()
        await asyncio.to_thread(process.wait)
