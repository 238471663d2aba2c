"""
A queue that is fair between callers and bounded for each and for all.

Callers take turns, so one that sends ten thousand requests delays another by one of them.
"""

from collections import deque
from typing import Generic, TypeVar

from xds_server.exceptions import LimitError

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items by caller, given out one caller after the other."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._waiting: dict[str, deque[T]] = {}
        """In the order of turns: a caller that was served goes to the end."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, caller: str, item: T) -> None:
        """
        Append an item to its caller's.

        Raises:
            LimitError: the queue, or this caller's part of it, is full.

        """
        if self._length >= self._most:
            raise LimitError(f"{self._most} requests wait to be signed: try again later")
        waiting = self._waiting.get(caller)
        if waiting is None:
            waiting = self._waiting[caller] = deque()
        if len(waiting) >= self._most_each:
            raise LimitError(f"{self._most_each} requests of this caller wait to be signed: try again later")
        waiting.append(item)
        self._length += 1

    def take(self) -> T | None:
        """Take the next item of the caller whose turn it is, None if nothing waits."""
        caller = next(iter(self._waiting), None)
        if caller is None:
            return None
        waiting = self._waiting.pop(caller)
        item = waiting.popleft()
        if waiting:
            self._waiting[caller] = waiting
        self._length -= 1
        return item
