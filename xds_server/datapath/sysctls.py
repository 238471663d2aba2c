"""Sysctls of a network namespace: those of the one this thread is in."""

from pathlib import Path

from xds_server.datapath.program import Sysctl
from xds_server.exceptions import KernelError

_PROC = Path("/proc/sys")


def read_sysctl(path: str) -> str | None:
    """
    Return the value of a sysctl; None when its device is not there.

    Raises:
        KernelError: it is there and cannot be read.

    """
    try:
        return (_PROC / path).read_text().strip()
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
