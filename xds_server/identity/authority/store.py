"""Where the material of a certificate authority lives, shared by every replica that signs for it."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol


class AuthorityStore(Protocol):
    """
    Files, the state of a rotation and the published trust bundle.

    Several processes may use one store at a time. Whatever is put on condition returns what is there
    afterwards, so that all go on with the one that won. Every method may raise ClusterError when the
    store is away, and InputError when it cannot be read or, where it must be, not be written.
    """

    async def load(self) -> Mapping[str, bytes]:
        """Return the material's files by name; empty when there is none."""

    async def create(self, files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Put the first material, unless there is some."""

    async def replace(self, seen: Mapping[str, bytes], files: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """Put new material, unless what is there is no longer ``seen``."""

    async def load_rotation(self) -> bytes | None:
        """Return the state of the rotation, or None when there is none. It holds keys."""

    async def save_rotation(self, seen: bytes | None, state: bytes) -> bytes:
        """Put the state of the rotation, unless what is there is no longer ``seen``."""

    async def publish_bundle(self, pem: str) -> None:
        """Tell the clients which roots to trust; a store that cannot goes on without."""

    def changes(self) -> AsyncGenerator[None, None]:
        """Yield, for ever, whenever something may have changed, and once at the begin."""
