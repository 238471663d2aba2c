"""Two connections joined: what comes from one goes to the other, no faster than it takes it."""

import asyncio


class Half(asyncio.Protocol):
    """One end of a relay. It reads nothing until it is joined to the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._other: Half | None = None
        self._gone = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is gone."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's is
        self._transport = transport
        transport.pause_reading()

    def join(self, other: "Half") -> None:
        """Send from now on what is read to ``other``."""
        self._other = other
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Close when what was written has gone."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, if it is not closed: a transport that has gone cannot be asked again."""
        if self._transport is not None and not self._gone:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.write(data)

    def pause_writing(self) -> None:
        """Take no more from the other while this one is full."""
        other = self._other and self._other._transport
        if other and not other.is_closing():
            other.pause_reading()

    def resume_writing(self) -> None:
        other = self._other and self._other._transport
        if other and not other.is_closing():
            other.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        self._gone = True
        if self._other is not None:
            self._other.close()
        if not self.lost.done():
            self.lost.set_result(None)
