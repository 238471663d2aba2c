"""
Network namespaces, each with a thread that lives in it.

A socket belongs to the namespace of the thread that made it, wherever it is used afterwards, and a command
to that of the thread that started it. So neither needs a process of its own to be inside.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_NAMED = Path("/run/netns")
_CLONE_NEWNET = 0x40000000


class Namespace:
    """A named network namespace; ``name`` is what ``ip -n`` knows it by."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_enter, initargs=(name,))

    def call(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns when it is called inside."""
        return self._thread.submit(work).result()

    def run(self, *argv: str, stdin: str = "", check: bool = True) -> str:
        """Run a command inside and return what it printed."""

        def command() -> "subprocess.CompletedProcess[str]":
            return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)

        done = self.call(command)
        if check and done.returncode:
            told = f"{' '.join(argv)} < {stdin}" if stdin else " ".join(argv)
            raise RuntimeError(f"{self.name}: {told}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a program inside that is spoken with by lines."""
        pipe = subprocess.PIPE
        return self.call(lambda: subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True))

    def ip(self, lines: Iterable[str]) -> None:
        """Run commands of ``ip``, all in one process."""
        self.run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")

    def socket(self, kind: int, family: int = socket.AF_INET, protocol: int = 0) -> socket.socket:
        return self.call(lambda: socket.socket(family, kind, protocol))

    def set_sysctls(self, values: Mapping[str, str | int]) -> None:
        """Write sysctls by their paths below /proc/sys."""

        def write() -> None:
            for path, value in values.items():
                Path("/proc/sys", path).write_text(str(value))

        self.call(write)

    def sysctl(self, path: str) -> str:
        return self.call(Path("/proc/sys", path).read_text).strip()

    def leave(self) -> None:
        """End the thread; the namespace itself ends when it is deleted."""
        self._thread.shutdown()


@contextlib.contextmanager
def namespaces(prefix: str, names: Iterable[str]) -> Iterator[dict[str, Namespace]]:
    """Make namespaces and delete them when the block ends; each is called by its name without the prefix."""
    wanted = tuple(names)
    _ip(f"netns add {prefix}{name}" for name in wanted)
    made = {name: Namespace(prefix + name) for name in wanted}
    try:
        yield made
    finally:
        for namespace in made.values():
            namespace.leave()
        _ip(f"netns delete {namespace.name}" for namespace in made.values())


def forget_the_dead(prefix: str) -> None:
    """Delete the namespaces ``PREFIX-PID-...`` of processes that were killed before they could."""
    named = sorted(path.name for path in _NAMED.glob(f"{prefix}-*")) if _NAMED.is_dir() else []
    _ip(f"netns delete {name}" for name in named if not Path("/proc", name.split("-")[1]).exists())


def _ip(lines: Iterable[str]) -> None:
    text = "\n".join(lines)
    if text:
        subprocess.run(["ip", "-batch", "-"], input=text + "\n", text=True, check=True)


def _enter(name: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(_NAMED / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {name}")
    finally:
        os.close(descriptor)
