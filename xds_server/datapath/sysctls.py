"""Sysctls of a network namespace: those of the one this thread is in."""

import os
from pathlib import Path

from xds_server.datapath.program import Sysctl
from xds_server.exceptions import KernelError

_PROC = Path("/proc/sys")
_LONGEST = 4096


def read_sysctl(path: str) -> str | None:
    """
    Return the value of a sysctl; None when its device is not there.

    Raises:
        KernelError: it is there and cannot be read.

    """
    # By the system's calls alone: they are read by hundreds, each second.
    try:
        opened = os.open(f"/proc/sys/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(opened, _LONGEST).decode().strip()
        finally:
            os.close(opened)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KernelError(f"{_PROC / path}: {error.strerror}") from error


def write_sysctl(sysctl: Sysctl) -> None:
    """
    Set a sysctl, at once.

    Raises:
        KernelError: it is not there, or the kernel does not take the value.

    """
    try:
        with (_PROC / sysctl.path).open("r+b", buffering=0) as opened:
            opened.write(sysctl.value.encode())
    except OSError as error:
        raise KernelError(f"{_PROC / sysctl.path}: {error.strerror}") from error
