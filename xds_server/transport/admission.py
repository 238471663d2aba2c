"""
Bounding what big first responses cost together.

Every response in flight is copied by gRPC, so 400 clients that connect at once would hold 400
copies of the mesh. Here they take turns, oldest first, within a budget of bytes. Small responses
never wait.
"""

import asyncio
from collections import deque

SMALL = 64 << 10
_BUDGET = 24 << 20


class Admission:
    """A budget of bytes in flight, given out in the order of asking."""

    def __init__(self, budget: int = _BUDGET) -> None:
        self.free = budget
        self._budget = budget
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        """Return how many writes wait."""
        return len(self._waiting)

    async def acquire(self, size: int) -> int:
        """Wait for the turn of a write of ``size`` bytes; return what to release when it is done."""
        if size < SMALL:
            return 0
        # One that is larger than everything goes alone.
        share = min(size, self._budget)
        if not self._waiting and share <= self.free:
            self.free -= share
            return share
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(share)
            raise
        return share

    def release(self, share: int) -> None:
        self.free += share
        while self._waiting:
            next_share, turn = self._waiting[0]
            if turn.done():
                self._waiting.popleft()
                continue
            if next_share > self.free:
                return
            self._waiting.popleft()
            self.free -= next_share
            turn.set_result(None)
