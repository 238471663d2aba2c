"""
The network namespace behind a device: that of the pod at the other end of a veth.

The kernel tells its number as this namespace knows it. Of the namespaces that have a name or a process,
the one with that number is it.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from xds_server.datapath.kernel import Place
from xds_server.datapath.netlink import RefusedError
from xds_server.datapath.observe_links import devices_of

_GET_NSID = 90
_NSID, _FD = 1, 3
_FAMILY = b"\0\0\0\0"
_FD_ATTRIBUTE = struct.Struct("=HHI")
_NAMED = (Path("/run/netns"), Path("/var/run/docker/netns"))
_PROC = Path("/proc")


def namespace_behind(place: Place, device: str) -> str:
    """
    Return the path of the namespace behind a device of this one; empty when none is found.

    Raises:
        KernelError: the kernel does not tell of its links.

    """
    found = (each for each in devices_of(place.netlink).values() if each.name == device)
    wanted = next(found, None)
    if wanted is None or wanted.namespace is None:
        return ""
    return next((path for path in _candidates() if _number(place, path) == wanted.namespace), "")


def _candidates() -> Iterator[str]:
    seen: set[int] = set()
    for path in _paths():
        with contextlib.suppress(OSError):  # it ended meanwhile, or may not be seen
            inode = path.stat().st_ino
            if inode not in seen:
                seen.add(inode)
                yield str(path)


def _paths() -> Iterator[Path]:
    for folder in _NAMED:
        with contextlib.suppress(OSError):
            yield from sorted(folder.iterdir())
    yield from (process / "ns" / "net" for process in _PROC.iterdir() if process.name.isdigit())


def _number(place: Place, path: str) -> int | None:
    """Return the number this namespace knows another by; None when it knows it by none."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = _FAMILY + _FD_ATTRIBUTE.pack(_FD_ATTRIBUTE.size, _FD, opened)
        number = place.netlink.get(_GET_NSID, asked, len(_FAMILY)).get(_NSID, b"")
    except RefusedError:  # it is no network namespace
        return None
    finally:
        os.close(opened)
    (found,) = struct.unpack("=i", number) if len(number) == 4 else (-1,)
    return found if found >= 0 else None
