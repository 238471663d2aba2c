"""A certificate authority on a folder, with a clock that the test sets."""

import asyncio
import errno
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from tests.identity.authority.made_certificates import NOW
from xds_server.identity.authority.authority import CertificateAuthority
from xds_server.identity.authority.folder import AuthorityFolder
from xds_server.identity.authority.locked_files import LockedFiles

OVERLAP = 86_520.0


class Clock:
    """Tells the time it was set to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def authority_on(folder: Path, clock: Clock) -> CertificateAuthority:
    return CertificateAuthority(AuthorityFolder(folder), "mesh.example", OVERLAP, clock)


async def loaded(folder: Path, clock: Clock) -> CertificateAuthority:
    authority = authority_on(folder, clock)
    await authority.load()
    return authority


@asynccontextmanager
async def following(authority: CertificateAuthority) -> AsyncGenerator[asyncio.Queue[str], None]:
    """Follow meanwhile; the queue tells who signs after each change."""
    told: asyncio.Queue[str] = asyncio.Queue()
    authority.listen(lambda: told.put_nowait(authority.signing.digest))
    task = asyncio.create_task(authority.follow())
    try:
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files as an operator does, each by a rename."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / ".new").write_bytes(content)
        (folder / ".new").rename(folder / name)


def make_unwritable(patch: pytest.MonkeyPatch) -> None:
    """Let folders be as on a read-only mount. Modes would not do: root may write anywhere."""

    def refuse(_files: LockedFiles) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    patch.setattr(LockedFiles, "_open_lock", refuse)
