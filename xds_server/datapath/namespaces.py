"""Network namespaces of a thread: the one it enters, or a new one that ends with it."""

import ctypes
import os
from pathlib import Path

from xds_server.exceptions import KernelError

_CLONE_NEWNET = 0x40000000
_NAMED = Path("/run/netns")


def enter(netns: str) -> None:
    """
    Move this thread to a network namespace, told by its name or its path; an empty one is where it is.

    Raises:
        KernelError: it is not there, is none, or may not be entered.

    """
    if not netns:
        return
    path = _NAMED / netns
    if "/" not in netns and netns in (".", ".."):
        raise KernelError(f"network namespace {netns!r}: expected a name or a path")
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise KernelError(f"network namespace {netns!r}: {path}: {error.strerror}") from error
    try:
        _call("setns", opened, _CLONE_NEWNET)
    except OSError as error:
        raise KernelError(f"network namespace {netns!r}: cannot enter {path}: {error.strerror}") from error
    finally:
        os.close(opened)


def enter_a_new_one() -> None:
    """
    Move this thread to a network namespace of its own.

    Raises:
        OSError: this takes CAP_SYS_ADMIN.

    """
    _call("unshare", _CLONE_NEWNET)


def _call(name: str, *arguments: int) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
