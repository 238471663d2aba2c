"""The material of a certificate authority in a folder: what one machine uses, or a mounted Secret."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path

from xds_server.exceptions import InputError
from xds_server.identity.authority.locked_files import LockedFiles
from xds_server.identity.authority.material import MATERIAL_FILES
from xds_server.identity.authority.self_made import ROOT_KEY
from xds_server.sources.watch.files import FileWatch

ROTATION = "rotation.json"
BUNDLE = "trust-bundle.pem"
_MATERIAL = sorted({*MATERIAL_FILES, ROOT_KEY})
_PUBLIC = 0o644

log = logging.getLogger(__name__)


class AuthorityFolder:
    """
    An AuthorityStore in the folder ``path``, made with mode 0700 when something is first put there.

    In a folder that cannot be written, the rotation is kept in memory and the bundle not published;
    that is told once.
    """

    def __init__(self, path: Path, scan_seconds: float | None = None) -> None:
        self._path = path
        self._files = LockedFiles(path)
        self._scan_seconds = scan_seconds
        self._unsaved: bytes | None = None
        """The state of the rotation while it cannot be written; ``_beneath`` is what the file holds then."""
        self._beneath: bytes | None = None
        self._told_unwritable = False

    async def load(self) -> Mapping[str, bytes]:
        """
        Return the material's files.

        Raises:
            InputError: one of them cannot be read.

        """
        return await asyncio.to_thread(self._read, _MATERIAL)

    async def create(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """
        Put the first files, unless there are some; return what is there.

        Raises:
            InputError: the folder cannot be written: made-up material must not be lost.

        """
        return await self.replace({}, files)

    async def replace(self, seen: Mapping[str, bytes], files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """
        Put files in the place of ``seen``, unless it is something else by now; return what is there.

        Raises:
            InputError: the folder cannot be written.

        """
        return await asyncio.to_thread(self._replace, seen, files)

    async def load_rotation(self) -> bytes | None:
        """
        Return the state of the rotation, if there is any.

        Raises:
            InputError: it cannot be read.

        """
        return await asyncio.to_thread(self._load_rotation)

    async def save_rotation(self, seen: bytes | None, state: bytes) -> bytes:
        """
        Put the state of the rotation, unless it is no longer ``seen``; return what is there.

        Raises:
            InputError: it cannot be read.

        """
        return await asyncio.to_thread(self._save_rotation, seen, state)

    async def publish_bundle(self, pem: str) -> None:
        """Write the trust bundle, if the file holds anything else."""
        await asyncio.to_thread(self._publish, pem.encode())

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yield once watching, and then whenever a file may have changed."""
        watched = [self._path / name for name in (*_MATERIAL, ROTATION, BUNDLE)]
        watch = FileWatch(watched, scan_seconds=self._scan_seconds)
        try:
            async with aclosing(watch.changes()) as batches:
                yield
                async for _ in batches:
                    yield
        finally:
            watch.close()

    def _replace(self, seen: Mapping[str, bytes], files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        try:
            put = self._files.write_set(_MATERIAL, seen, files)
        except OSError as error:
            expected = "a folder to write the certificates of the mesh to"
            raise InputError(f"{self._path}: {error.strerror}: expected {expected}") from None
        return files if put else self._read(_MATERIAL)

    def _load_rotation(self) -> bytes | None:
        if self._unsaved is not None:
            return self._unsaved
        return self._read([ROTATION]).get(ROTATION)

    def _save_rotation(self, seen: bytes | None, state: bytes) -> bytes:
        on_disk = seen if self._unsaved is None else self._beneath
        try:
            put = self._files.write(ROTATION, on_disk, state)
        except OSError as error:
            self._tell_unwritable(error)
            self._unsaved, self._beneath = state, on_disk
            return state
        self._unsaved = None
        return state if put else (self._load_rotation() or state)

    def _read(self, names: Iterable[str]) -> dict[str, bytes]:
        try:
            return self._files.read(names)
        except OSError as error:
            where = error.filename or self._path
            raise InputError(f"{where}: {error.strerror}: expected a file that can be read") from None

    def _publish(self, pem: bytes) -> None:
        try:
            found = self._files.read([BUNDLE]).get(BUNDLE)
            if found != pem:
                self._files.write(BUNDLE, found, pem, _PUBLIC)
        except OSError as error:
            self._tell_unwritable(error)

    def _tell_unwritable(self, error: OSError) -> None:
        if not self._told_unwritable:
            self._told_unwritable = True
            log.warning(
                "%s: %s: the trust bundle is not published there and a rotation is forgotten at the end",
                self._path,
                error.strerror,
            )
