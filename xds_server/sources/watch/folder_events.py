"""What the kernel tells of the entries of folders, where it does (Linux)."""

import contextlib
import errno
import logging
import sys
from typing import NamedTuple

if sys.platform == "linux":
    from asyncinotify import Event as KernelEvent
    from asyncinotify import Inotify, Mask, Watch

    _CHANGES = Mask.CLOSE_WRITE | Mask.MOVE | Mask.CREATE | Mask.DELETE | Mask.MOVE_SELF | Mask.ONLYDIR
    _LOST = Mask.Q_OVERFLOW | Mask.IGNORED | Mask.MOVE_SELF

log = logging.getLogger(__name__)


class Event(NamedTuple):
    """One thing that happened to the entry ``name`` of a watched folder."""

    folder: str = ""
    name: str = ""
    entry: str = ""
    """Both as one path."""
    of_folder: bool = False
    """The entry is a folder itself."""
    created: bool = False
    """The entry is new in its folder and, if it is a file, its writer may be at work."""
    appeared: bool = False
    """The entry is new in its folder, or was renamed into it."""
    lost: bool = False
    """No entry: a watched folder went or moved, or events were dropped. Only a look tells what changed."""


class FolderEvents:
    """Watches on folders, by their real paths, that queue events in the kernel until they are taken."""

    def __init__(self, inotify: "Inotify") -> None:
        self._inotify = inotify
        self._watches: dict[str, Watch] = {}
        self.exhausted = False
        """True once the kernel had no watch left for a folder: its events are missing."""

    @property
    def fd(self) -> int:
        """Return what becomes readable when there are events to take."""
        return self._inotify.fd

    def close(self) -> None:
        self._inotify.close()

    def watch(self, folders: set[str]) -> bool:
        """Watch exactly these folders; True when one was not watched before."""
        for folder in self._watches.keys() - folders:
            self._unwatch(folder)
        added = [self._add(folder) for folder in folders - self._watches.keys()]
        return any(added)

    def take(self) -> list[Event]:
        """Return what is queued, without waiting."""
        events = [self._read(event) for event in self._inotify]
        return [event for event in events if event is not None]

    def _add(self, folder: str) -> bool:
        try:
            self._watches[folder] = self._inotify.add_watch(folder, _CHANGES)
        except OSError as error:
            # A folder that vanished or is locked is told of by its parent, or found by a scan.
            if error.errno == errno.ENOSPC and not self.exhausted:
                self.exhausted = True
                log.warning(
                    "%s: no inotify watch left (fs.inotify.max_user_watches), scanning instead", folder
                )
            return False
        return True

    def _unwatch(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            self._inotify.rm_watch(self._watches.pop(folder))

    def _read(self, event: "KernelEvent") -> Event | None:
        if Mask.Q_OVERFLOW in event.mask:
            return Event(lost=True)
        watch = event.watch
        folder = str(watch.path) if watch else ""
        if self._watches.get(folder) is not watch:
            return None  # an event of a folder that is no longer watched
        if event.mask & _LOST:
            self._forget(folder)
            return Event(lost=True)
        created = Mask.CREATE in event.mask
        return Event(
            folder=folder,
            name=str(event.name or ""),
            entry=str(event.path),
            of_folder=Mask.ISDIR in event.mask,
            created=created,
            appeared=created or Mask.MOVED_TO in event.mask,
        )

    def _forget(self, lost: str) -> None:
        """Drop the watches of a folder and of those beneath it: their paths name something else now."""
        for folder in [folder for folder in self._watches if f"{folder}/".startswith(f"{lost}/")]:
            self._unwatch(folder)


def open_folder_events() -> FolderEvents | None:
    """Start listening to the kernel; None where it does not tell, or has no more ears."""
    if sys.platform != "linux":
        return None
    try:
        return FolderEvents(Inotify(cache_size=64, sync_timeout=0))
    except OSError as error:
        log.warning("no inotify instance (%s), scanning for changed files instead", error.strerror)
        return None
