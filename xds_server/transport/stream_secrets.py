"""The secrets one stream follows, as a type of resources of its own."""

import asyncio
from collections.abc import Callable, Iterable

from xds_server.catalog.resource import SECRET
from xds_server.catalog.served_type import ServedType
from xds_server.exceptions import LimitError
from xds_server.identity.caller import Caller
from xds_server.identity.secrets import Secrets

_MOST_NAMES = 1_000
_LOG_CAPACITY = 4 * _MOST_NAMES
_LONGEST_NAME = 2_048
# A request is answered without what cannot be made in this time; it is sent when it is there.
_FIRST_SECONDS = 10.0


class StreamSecrets:
    """
    Follows names while the stream lives; keys are dropped with it.

    ``wake`` is called when there is something to send; the stream sets it.
    """

    def __init__(self, secrets: Secrets, caller: Caller) -> None:
        self.served = ServedType(SECRET, _LOG_CAPACITY)
        self._secrets = secrets
        self._caller = caller
        self.wake: Callable[[], None] = _nobody
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._known: dict[str, asyncio.Event] = {}

    async def follow(self, names: Iterable[str]) -> None:
        """
        Follow further names; return when each is made or denied.

        Raises:
            LimitError: there are too many names, or one is too long.

        """
        new = [name for name in dict.fromkeys(names) if name not in self._followed and name != "*"]
        if len(self._followed) + len(new) > _MOST_NAMES:
            raise LimitError(f"more than {_MOST_NAMES} secrets on one stream")
        for name in new:
            if len(name) > _LONGEST_NAME:
                raise LimitError(
                    f"a secret's name of {len(name)} characters: expected at most {_LONGEST_NAME}"
                )
            self._known[name] = asyncio.Event()
            self._followed[name] = asyncio.create_task(self._follow(name))
        waits = [asyncio.ensure_future(self._known[name].wait()) for name in new]
        if waits:
            _, late = await asyncio.wait(waits, timeout=_FIRST_SECONDS)
            for wait in late:
                wait.cancel()

    async def _follow(self, name: str) -> None:
        def put(body: bytes | None) -> None:
            self.served.apply({name: body}, self.served.position + 1)
            self._known[name].set()
            self.wake()

        await self._secrets.follow(self._caller, name, put)

    def leave(self, names: Iterable[str]) -> None:
        """Follow names no more, and forget their keys."""
        for name in list(names):
            task = self._followed.pop(name, None)
            if task is not None:
                task.cancel()
                del self._known[name]
                self.served.apply({name: None}, self.served.position + 1)

    def leave_others(self, names: Iterable[str]) -> None:
        """Follow nothing but ``names`` any more."""
        self.leave(self._followed.keys() - set(names))

    def __enter__(self) -> None:
        """Follow names until the block ends."""

    def __exit__(self, *_: object) -> None:
        self.leave(list(self._followed))


def _nobody() -> None:
    """Wake nobody: there is no stream yet."""
