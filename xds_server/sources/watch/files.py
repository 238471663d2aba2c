"""
Which files under some paths may have changed.

Theory
1. The kernel tells of every file that was closed after writing, renamed, linked or removed: a file
   that its writer still holds open is not named. The file is then named without a look at others.
2. Whatever may change where names lead (a folder, a symlink, a lost watch, dropped events) is
   answered by one survey of all paths, compared with the last.
3. A survey every ``scan_seconds`` is the net for what the kernel did not tell. A file it finds
   written in place counts only when two such surveys agree: a writer may be at work.
4. A file named in vain costs its reader one look, one not named would be lost: in doubt it is named.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path

from xds_server.sources.watch.folder_events import Event, FolderEvents, open_folder_events
from xds_server.sources.watch.survey import (
    Stamp,
    Survey,
    Wanted,
    entry_of,
    is_hard_link,
    is_passed_over,
    is_symlink,
    stamp_of,
    survey,
)

_SCAN_SECONDS = 10.0
_SCAN_SECONDS_WITHOUT_EVENTS = 1.0

# Each further look covers folders made during the one before; the scan covers a longer storm of them.
_MOST_LOOKS = 5

Belief = Callable[[str, Stamp], bool]
"""Whether a file with this new stamp is whole, though the kernel did not tell that it was closed."""


def any_name(_name: str) -> bool:
    return True


class FileWatch:
    """
    Files and folders under watch from construction until ``close``.

    ``wanted`` tells by its name whether a file found in a folder counts. A path that is given
    counts whatever its name, and need not exist yet.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        wanted: Wanted = any_name,
        scan_seconds: float | None = None,
        listen: Callable[[], FolderEvents | None] = open_folder_events,
    ) -> None:
        self._paths = tuple(dict.fromkeys(map(str, paths)))
        self._wanted = wanted
        self._scan_seconds_given = scan_seconds
        self._events = listen()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._touched: set[str] = set()
        self._unsettled: dict[str, Stamp] = {}
        """Stamps that the last scan found written in place, with no word of it from the kernel."""
        self._looks = 0
        self._seen = Survey()
        self._look(_at_once)
        self._touched.clear()

    @property
    def files(self) -> set[Path]:
        """What is there: each file that counts, and each given path."""
        return {Path(name) for name in self._seen.stamps}

    async def changes(self) -> AsyncGenerator[set[Path], None]:
        """
        Yield sets of paths to read again, or to find missing, for ever.

        A given path that appears or vanishes is among them, also when it is a folder.
        """
        self._attach(asyncio.get_running_loop())
        try:
            scan_at = self._next_scan()
            while True:
                if not await self._wait(scan_at):
                    await self._scan()
                    scan_at = self._next_scan()
                batch, self._touched = self._touched, set()
                if batch:
                    yield {Path(name) for name in batch}
        finally:
            self._detach()

    def close(self) -> None:
        """Stop watching, for good."""
        self._detach()
        if self._events:
            self._events.close()
            self._events = None

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        if self._events:
            loop.add_reader(self._events.fd, self._receive_events)

    def _detach(self) -> None:
        if self._loop and self._events:
            self._loop.remove_reader(self._events.fd)
        self._loop = None

    def _next_scan(self) -> float:
        told = self._events is not None and not self._events.exhausted
        pause = _SCAN_SECONDS if told else _SCAN_SECONDS_WITHOUT_EVENTS
        return asyncio.get_running_loop().time() + (self._scan_seconds_given or pause)

    async def _wait(self, scan_at: float) -> bool:
        """Wait for files to be named; False when it is time to scan."""
        self._woken.clear()
        if asyncio.get_running_loop().time() >= scan_at:
            return False
        if self._touched:
            return True
        try:
            async with asyncio.timeout_at(scan_at):
                return await self._woken.wait()
        except TimeoutError:
            return False

    async def _scan(self) -> None:
        looks = self._looks
        found = await asyncio.to_thread(survey, self._paths, self._wanted)
        if looks != self._looks:
            return  # a look since then knows better
        before = self._unsettled
        self._unsettled = self._compare(found, lambda file, stamp: before.get(file) == stamp)
        if self._events and self._events.watch(found.watched):
            self._look(_not_yet)

    def _receive_events(self) -> None:
        """Take what the kernel has to tell; called when it has something."""
        events = self._events.take() if self._events else []
        moved = [self._note(event) for event in events]
        if any(moved):
            lost = any(event.lost for event in events)
            self._look(_at_once if lost else _not_yet)
        if self._touched:
            self._woken.set()

    def _note(self, event: Event) -> bool:
        """Name the files an event is about; True when it may have changed where names lead."""
        if event.lost:
            return True
        files = self._seen.entries.get(event.entry, set())
        in_sight = event.folder in self._seen.folders and not is_passed_over(event.name)
        leads_on = event.of_folder or (event.appeared and is_symlink(event.entry))
        if event.entry in self._seen.pivots or (leads_on and (files or in_sight)):
            return True
        if in_sight and self._wanted(event.name):
            files = files | {entry_of(self._seen.folders[event.folder], event.name)}
        if not event.created or is_hard_link(event.entry):
            for file in files:
                self._touch(file, stamp_of(file))
        return False

    def _look(self, believe: Belief) -> None:
        """Survey until every folder was under watch before it was listed."""
        self._looks += 1
        for _ in range(_MOST_LOOKS):
            found = survey(self._paths, self._wanted)
            self._compare(found, believe)
            if not self._events or not self._events.watch(found.watched):
                break

    def _compare(self, found: Survey, believe: Belief) -> dict[str, Stamp]:
        """
        Make ``found`` what was seen last, and name every file in which it differs.

        A file that was written in place is named if ``believe`` says so; return the others of these.
        """
        before, self._seen = self._seen, found
        written: dict[str, Stamp] = {}
        for file in before.stamps.keys() | found.stamps.keys():
            old, new = before.stamps.get(file), found.stamps.get(file)
            if old == new:
                continue
            if old and new and old.inode == new.inode and not believe(file, new):
                found.stamps[file], written[file] = old, new
            else:
                self._touch(file, new)
        return written

    def _touch(self, file: str, stamp: Stamp | None) -> None:
        self._touched.add(file)
        if stamp is None:
            self._seen.stamps.pop(file, None)
        else:
            self._seen.stamps[file] = stamp


def _at_once(_file: str, _stamp: Stamp) -> bool:
    return True


def _not_yet(_file: str, _stamp: Stamp) -> bool:
    return False
