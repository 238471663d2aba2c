"""One reading of a manifest file: what it says now, or that it says nothing new."""

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from xds_server.exceptions import Problem
from xds_server.sources.manifests.decode import Contents, decode
from xds_server.sources.watch.survey import Stamp

Decode = Callable[[str, bytes], Contents | Problem]

log = logging.getLogger(__name__)

# As YAML this takes about 20 ms to decode: more is worth the way to a thread and back.
_LARGE_BYTES = 128 * 1024


class Mark(NamedTuple):
    """What tells two readings of a file apart; nothing where nothing could be read."""

    stamp: Stamp | None = None
    digest: bytes | None = None


class Outcome(Enum):
    """What a reading found, when that is neither objects nor a problem."""

    MISSING = "missing"
    FOLDER = "folder"
    """A folder of that name, which holds no objects itself."""
    BLANK = "blank"
    SAME = "same"
    """The text is that of the reading before."""


class Reading(NamedTuple):
    mark: Mark
    result: Contents | Problem | Outcome


async def read(path: Path, before: Mark, decode: Decode = decode) -> Reading:
    """Read a file whose last reading had the mark ``before``; a large one in a thread."""
    if _size(path) > _LARGE_BYTES:
        return await asyncio.to_thread(read_now, path, before, decode)
    return read_now(path, before, decode)


def read_now(path: Path, before: Mark, decode: Decode = decode) -> Reading:
    """Read a file whose last reading had the mark ``before``."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()  # a folder that cannot be listed may still hold what it held
            return Reading(Mark(), Outcome.FOLDER)
        if stat.S_ISREG(mode):
            return _read_text(path, before, decode)
        # Not opened: a pipe would wait for its writer.
        return Reading(Mark(), Problem(str(path), "the file", "no regular file", "a file or a folder"))
    except (FileNotFoundError, NotADirectoryError):
        return Reading(Mark(), Outcome.MISSING)
    except OSError as error:
        return Reading(Mark(), Problem(str(path), "the file", f"unreadable ({error.strerror})", ""))


def _read_text(path: Path, before: Mark, decode: Decode) -> Reading:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        text = file.read()
    stamp = Stamp(status.st_ino, status.st_mtime_ns, status.st_size)
    mark = Mark(stamp, hashlib.blake2b(text, digest_size=16).digest())
    if mark.digest == before.digest:
        return Reading(mark, Outcome.SAME)
    if not text or text.isspace():
        return Reading(mark, Outcome.BLANK)
    try:
        return Reading(mark, decode(str(path), text))
    except Exception as bug:
        # One file must not stop the others, whatever is in it.
        log.exception("%s could not be decoded, what it held stays", path)
        return Reading(mark, Problem(str(path), "the file", f"not decoded (internal error: {bug!r})", ""))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
