"""
What files there are under some paths, and which folder entries lead to them.

Everything is read afresh each time. Files are named as the caller named the path they were found
under; folders and entries by their real path, which is how the kernel tells of events in them.
"""
# Paths stay text here: to make a Path of each of 10,000 files costs more than to look at them.
# ruff: noqa: PTH109, PTH112, PTH114, PTH115, PTH116, PTH118, PTH120

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

Wanted = Callable[[str], bool]

_MOST_LINKS = 40
"""Symlinks followed for one path before it counts as a loop: the kernel's own limit."""


class Stamp(NamedTuple):
    """What tells that a file is no longer the same, without reading it."""

    inode: int
    modified_ns: int
    size: int


UNREADABLE = Stamp(0, 0, 0)
"""The stamp of what is there but cannot be looked at: it is for the reader to find out why."""


class Trace(NamedTuple):
    """How a path resolves: the real entry it ends in, or the real entry where it breaks off."""

    entry: str
    links: list[str]
    """Real paths of the symlinks passed on the way."""
    complete: bool
    """False when a folder on the way is missing: ``entry`` is then that folder's."""


@dataclass(slots=True)
class Survey:
    """What was found; ``stamps`` also has a given path that is a folder, or could not be listed."""

    stamps: dict[str, Stamp] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    """Real path of each folder walked -> that folder as named."""
    entries: dict[str, set[str]] = field(default_factory=dict)
    """Real entry -> files as named that end there though their folder was not walked."""
    pivots: set[str] = field(default_factory=set)
    """Real entries (symlinks, missing folders) whose replacement changes where paths lead."""

    @property
    def watched(self) -> set[str]:
        """Real paths of the folders in which an event may concern a file."""
        return {*self.folders, *map(os.path.dirname, self.entries), *map(os.path.dirname, self.pivots)}


def survey(paths: Iterable[str], wanted: Wanted) -> Survey:
    """
    Look at each path, and in folders at every file whose name is ``wanted``, at any depth.

    A path that is not a folder counts whatever its name. Hidden entries in folders do not.
    """
    found = Survey()
    for path in paths:
        stamp = _follow(found, path)
        if stamp is not None:
            found.stamps[path] = stamp
            if os.path.isdir(path):
                _walk(found, path, wanted)
    return found


def is_passed_over(name: str) -> bool:
    """Tell hidden entries and what editors leave beside a file while they work on it."""
    return name.startswith((".", "#")) or name.endswith(("~", ".swp"))


def trace(path: str) -> Trace:
    """Resolve a path as the kernel does, noting the entries it depends on."""
    links: list[str] = []
    here, ahead = "/", os.path.join(os.getcwd(), path).split("/")[::-1]
    while ahead:
        name = ahead.pop()
        entry = os.path.join(here, name)
        if name in ("", ".", ".."):
            here = os.path.dirname(here) if name == ".." else here
            continue
        target = _link_target(entry)
        if target is None:
            if ahead and not os.path.isdir(entry):
                return Trace(entry, links, complete=False)
            here = entry
        elif len(links) == _MOST_LINKS:
            return Trace(entry, links, complete=True)
        else:
            links.append(entry)
            here = "/" if target.startswith("/") else here
            ahead += target.split("/")[::-1]
    return Trace(here, links, complete=True)


def stamp_of(path: str) -> Stamp | None:
    """Stamp a file or folder, through symlinks; None when there is nothing."""
    try:
        return _stamp(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return UNREADABLE


def entry_of(folder: str, name: str) -> str:
    """Name an entry of a folder as a survey does."""
    return os.path.join(folder, name)


def is_symlink(entry: str) -> bool:
    return os.path.islink(entry)


def is_hard_link(entry: str) -> bool:
    """Tell a file that was linked into its folder, whole, from one that its writer has just begun."""
    try:
        return os.lstat(entry).st_nlink > 1
    except OSError:
        return False


def _stamp(status: os.stat_result) -> Stamp:
    if stat.S_ISDIR(status.st_mode):
        # What a folder holds is surveyed file by file; its own times say nothing more.
        return Stamp(status.st_ino, 0, 0)
    return Stamp(status.st_ino, status.st_mtime_ns, status.st_size)


def _link_target(entry: str) -> str | None:
    try:
        return os.readlink(entry)
    except OSError:
        return None


def _follow(found: Survey, path: str) -> Stamp | None:
    """Note what the way to ``path`` depends on; return its stamp."""
    end = trace(path)
    found.pivots.update(end.links)
    if end.complete:
        found.entries.setdefault(end.entry, set()).add(path)
    else:
        found.pivots.add(end.entry)
    return stamp_of(path)


def _walk(found: Survey, root: str, wanted: Wanted) -> None:
    pending = [root]
    while pending:
        folder = pending.pop()
        real = os.path.realpath(folder)
        if real in found.folders:  # reached twice, or a symlink back up
            continue
        found.folders[real] = folder
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            found.stamps[folder] = UNREADABLE
            continue
        in_sight = [entry for entry in listed if not is_passed_over(entry.name)]
        pending += [entry.path for entry in in_sight if _visit(found, entry, wanted)]


def _visit(found: Survey, entry: "os.DirEntry[str]", wanted: Wanted) -> bool:
    """Take in one entry of a folder; True when it is a folder to walk."""
    if entry.is_symlink():
        _follow(found, entry.path)
    try:
        status = entry.stat()
    except FileNotFoundError:
        return False
    except OSError:
        if wanted(entry.name):
            found.stamps[entry.path] = UNREADABLE
        return False
    if stat.S_ISREG(status.st_mode) and wanted(entry.name):
        found.stamps[entry.path] = _stamp(status)
    return stat.S_ISDIR(status.st_mode)
