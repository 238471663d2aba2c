"""
The change log of one type: what a client at a past position has missed.

Theory
1. Every publication has a number, the position; it grows by one and never goes back.
2. The log holds each changed name once, under the position of its latest change, in that order.
   The past states of a resource are nobody's business: whoever asks gets the present one.
3. So a client is a cursor: what it lacks is every name behind its cursor; those that the catalog
   has no more are its removals. A slow client costs nothing while it waits, and the sum of what
   it missed when it asks.
4. The log is bounded: names beyond ``capacity`` are forgotten from the oldest on, and ``floor``
   tells from where it is complete. A cursor below the floor cannot be answered; its stream is
   ended, and the client returns with the versions it holds, which needs no log.
"""

from collections import OrderedDict


class ChangeLog:
    """Changed names by position."""

    def __init__(self, capacity: int) -> None:
        self.floor = 0
        """The lowest cursor that can be answered."""
        self._capacity = capacity
        self._positions: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._positions)

    def record(self, name: str, position: int) -> None:
        self._positions[name] = position
        self._positions.move_to_end(name)
        if len(self._positions) > self._capacity:
            _, self.floor = self._positions.popitem(last=False)

    def since(self, cursor: int) -> list[str]:
        """Return the names changed after ``cursor`` (not below ``floor``), oldest change first."""
        names = []
        for name in reversed(self._positions):
            if self._positions[name] <= cursor:
                break
            names.append(name)
        names.reverse()
        return names
