"""
A kernel: in which network namespace it is reached, with which backend of iptables, by which commands.

All that touches it runs in a thread of its own, which has entered the namespace: sockets opened there,
files below /proc/sys/net and commands started from there belong to the namespace, and the process
itself stays where it is. No command passes a shell.
"""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from threading import Thread
from typing import TypeAlias, TypeVar

from xds_server.datapath.namespaces import enter
from xds_server.datapath.netlink import ROUTE, Netlink
from xds_server.exceptions import KernelError

T = TypeVar("T")

_SECONDS = 30.0
"""How long a command may take; iptables itself gives up a lock it does not get within five."""
_SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class Backend(StrEnum):
    """Which of the two implementations of iptables."""

    NFT = "nft"
    LEGACY = "legacy"

    @property
    def other(self) -> "Backend":
        return Backend.LEGACY if self is Backend.NFT else Backend.NFT

    def tool(self, verb: str, family: int = 4) -> str:
        """Return the name of a tool; ``verb`` is ``save`` or ``restore``."""
        return f"{'ip6tables' if family == 6 else 'iptables'}-{self}-{verb}"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    argv: tuple[str, ...]
    code: int
    stdout: str = ""
    stderr: str = ""


class ToolError(KernelError):
    """A command ended with a code other than 0."""

    def __init__(self, ran: Ran) -> None:
        self.ran = ran
        said = " ".join(ran.stderr.split()) or "it said nothing"
        super().__init__(f"{' '.join(ran.argv)}: exit code {ran.code}: {said}")


class MissingToolError(KernelError):
    """There is no such command."""


Run: TypeAlias = Callable[[Sequence[str], str], Ran]
"""Runs words as a command with this text on standard input; raises as :func:`run` does."""


def run(argv: Sequence[str], stdin: str = "") -> Ran:
    """
    Run a command to its end.

    Raises:
        MissingToolError: there is no such command.
        KernelError: it cannot be started, or does not end.

    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_PATHS))
    try:
        made = subprocess.run(  # noqa: S603  # words that are typed and checked; no shell reads them
            argv,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            encoding="utf-8",
            errors="replace",
            env={"PATH": path, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise MissingToolError(f"{argv[0]}: there is no such command in {path}") from error
    except OSError as error:
        raise KernelError(f"{argv[0]}: cannot be started: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise KernelError(f"{' '.join(argv)}: no end after {_SECONDS:.0f} s") from error
    return Ran(tuple(argv), made.returncode, made.stdout, made.stderr)


@dataclass(frozen=True, slots=True)
class Kernel:
    """
    Where, and with which tools.

    ``netns`` is the name of a network namespace, the path of one, or empty for the process's own.
    """

    netns: str = ""
    backend: Backend = Backend.NFT
    run: Run = run


@dataclass(frozen=True, slots=True)
class Place:
    """A kernel from within its namespace; good in the thread it was made in."""

    kernel: Kernel
    netlink: Netlink

    def said(self, argv: Sequence[str], stdin: str = "") -> str:
        """
        Return what a command printed.

        Raises:
            ToolError: it failed.
            KernelError: it could not be run.

        """
        ran = self.kernel.run(argv, stdin)
        if ran.code:
            raise ToolError(ran)
        return ran.stdout


async def within(kernel: Kernel, work: Callable[[Place], T]) -> T:
    """
    Return what ``work`` does within the kernel's namespace.

    It is not left half done: who is cancelled meanwhile is so when the work has ended.

    Raises:
        KernelError: the namespace is not there or cannot be entered; and whatever ``work`` raises.

    """

    def enter_and_work() -> T:
        enter(kernel.netns)
        with Netlink.of(ROUTE) as netlink:
            return work(Place(kernel, netlink))

    return await in_thread(enter_and_work)


async def in_thread(work: Callable[[], T]) -> T:
    """Return what ``work`` does in a thread that ends with it, and may change its namespace."""
    result: Future[T] = Future()

    def settle() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # it is raised where the result is awaited
            result.set_exception(error)

    Thread(target=settle, name="datapath").start()
    ending = asyncio.wrap_future(result)
    try:
        return await asyncio.shield(ending)
    except asyncio.CancelledError:
        while not ending.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((ending,))
        with contextlib.suppress(Exception):
            ending.result()
        raise
