"""
Files in one folder that several processes read and put as sets, whole or not at all.

Theory
1. Every write is done under an exclusive lock of the folder, every read under a shared one. A folder
   that cannot be written has no lock: nobody of us writes there either.
2. A file is written beside its place and renamed, so a reader without the lock sees all of it or none.
3. A set of files is first written as one file, the journal. Whoever finds it takes its content for what
   the files hold, and the next writer finishes it: a crash half-way leaves no half set.
"""

import errno
import fcntl
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

# Hidden, so that no watch takes notice of them.
_LOCK = ".lock"
_SCRATCH = ".scratch"
_JOURNAL = ".journal.json"
_SECRET = 0o600
_FOLDER = 0o700
# Far more than any of these files has; what is cut here is refused by its reader.
_MOST_BYTES = 16 << 20


class LockedFiles:
    """The files of ``folder``, which need not exist. Every method may raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return what there is under these names, of each file the first 16 MiB."""
        with self._shared():
            return self._read(names)

    def write_set(self, among: Iterable[str], seen: Mapping[str, bytes], files: Mapping[str, bytes]) -> bool:
        """Write all the files, if what is there ``among`` some names is ``seen``; tell whether it was."""
        with self._exclusive():
            if self._read(among) != seen:
                return False
            self._write(_JOURNAL, msgspec.json.encode(files), _SECRET)
            self._finish_journal()
            return True

    def write(self, name: str, seen: bytes | None, content: bytes, mode: int = _SECRET) -> bool:
        """Write one file, if it holds just ``seen`` (None: is absent); tell whether it did."""
        with self._exclusive():
            if self._read([name]).get(name) != seen:
                return False
            self._write(name, content, mode)
            return True

    def _read(self, names: Iterable[str]) -> dict[str, bytes]:
        found = {name: self._read_one(name) for name in names}
        found |= {name: content for name, content in self._journal().items() if name in found}
        return {name: content for name, content in found.items() if content is not None}

    def _read_one(self, name: str) -> bytes | None:
        try:
            with (self._folder / name).open("rb") as file:
                return file.read(_MOST_BYTES)
        except FileNotFoundError:
            return None

    def _journal(self) -> dict[str, bytes]:
        """Return what a writer has decided to write, if it has not finished."""
        content = self._read_one(_JOURNAL)
        try:
            return msgspec.json.decode(content, type=dict[str, bytes]) if content else {}
        except msgspec.MsgspecError:
            raise OSError(errno.EINVAL, "unreadable", str(self._folder / _JOURNAL)) from None

    def _write(self, name: str, content: bytes, mode: int) -> None:
        scratch = self._folder / _SCRATCH
        scratch.unlink(missing_ok=True)  # one left by a crash may have another mode
        with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _SECRET), "wb") as file:  # noqa: PTH123
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self._folder / name)
        self._sync_folder()

    def _finish_journal(self) -> None:
        """Do what the journal says, if there is one."""
        for name, content in self._journal().items():
            self._write(name, content, _SECRET)
        (self._folder / _JOURNAL).unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _shared(self) -> Generator[None, None, None]:
        try:
            descriptor = self._open_lock()
        except OSError:
            yield
            return
        with _held(descriptor, fcntl.LOCK_SH):
            yield

    @contextmanager
    def _exclusive(self) -> Generator[None, None, None]:
        with suppress(FileExistsError):
            self._folder.mkdir(_FOLDER, parents=True)
        with _held(self._open_lock(), fcntl.LOCK_EX):
            self._finish_journal()
            yield

    def _open_lock(self) -> int:
        return os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _SECRET)


@contextmanager
def _held(descriptor: int, kind: int) -> Generator[None, None, None]:
    """Hold a lock, then close its file. Each open file has its own, so threads exclude each other too."""
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
