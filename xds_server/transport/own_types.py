"""What one stream alone is served, beside what all are."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import NamedTuple

from xds_server.catalog.resource import SECRET
from xds_server.catalog.served_type import ServedType
from xds_server.transport.stream_programs import TYPES, StreamPrograms
from xds_server.transport.stream_secrets import StreamSecrets


class OwnTypes(NamedTuple):
    """Either is None where it is not to be had."""

    secrets: StreamSecrets | None = None
    programs: StreamPrograms | None = None

    @property
    def served(self) -> tuple[ServedType, ...]:
        secrets = (self.secrets.served,) if self.secrets is not None else ()
        return (*secrets, *(self.programs.served if self.programs is not None else ()))

    def wakes(self, wake: Callable[[], None]) -> None:
        """Tell whom to wake when something of this stream has changed."""
        for own in self:
            if own is not None:
                own.wake = wake

    async def follow(self, type_url: str, names: Iterable[str], node_id: str) -> None:
        """
        Follow what a request asks for, before its session answers it.

        Raises:
            LimitError: it asks for too many secrets.
            DeniedError: it asks for a program, and the caller is no agent.

        """
        if type_url == SECRET and self.secrets is not None:
            await self.secrets.follow(names)
        elif type_url in TYPES and self.programs is not None:
            self.programs.follow(node_id)

    def kept(self) -> ExitStack:
        """Keep following until the block ends."""
        stack = ExitStack()
        for own in self:
            if own is not None:
                stack.enter_context(own)
        return stack
