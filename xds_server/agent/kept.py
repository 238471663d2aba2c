"""
What was held last, on disk: by it a node's datapath is repaired while no control plane is there.

Each of the two messages is a file that is replaced as a whole, so it is never half of one.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf.message import DecodeError

from xds_server.agent.told import Told
from xds_server.exceptions import KernelError
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api

_PROGRAM, _RANGES, _LOCK = "node-program.pb", "pod-ranges.pb", "lock"


def load(folder: Path, node: str) -> tuple[Told | None, str]:
    """Return what is kept for a node, or None and why it is of no use, if it is there."""
    try:
        told = Told(
            api.NodeProgram.FromString((folder / _PROGRAM).read_bytes()),
            api.PodRanges.FromString((folder / _RANGES).read_bytes()),
        )
    except FileNotFoundError:
        return None, ""
    except (OSError, DecodeError) as error:
        return None, f"{folder}: what was held last cannot be read: {error}"
    if told.program.node != node:
        return None, f"{folder}: what was held last is for node {told.program.node!r}, not {node!r}"
    return told, ""


def save(folder: Path, told: Told) -> None:
    """
    Keep it.

    Raises:
        OSError: it cannot be written.

    """
    for name, message in ((_RANGES, told.ranges), (_PROGRAM, told.program)):
        written = folder / f"{name}.new"
        with written.open("wb") as opened:
            opened.write(message.SerializeToString(deterministic=True))
            opened.flush()
            os.fsync(opened.fileno())
        written.replace(folder / name)


def forget(folder: Path) -> None:
    for name in (_PROGRAM, _RANGES):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """
    Be the only agent with this folder until the block ends; it is made if need be.

    Raises:
        KernelError: another one is there, or the folder cannot be used.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        opened = (folder / _LOCK).open("w")
    except OSError as error:
        raise KernelError(f"--state-dir {folder}: {error.strerror}") from error
    with opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise KernelError(f"--state-dir {folder}: another agent of this node is running") from error
        yield
