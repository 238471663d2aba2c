"""
When the next publication may go out.

Rules: the first change after quiet goes at once. While streams still write the last publication,
changes gather. The next one leaves after a pause in proportion to what the last ones cost, so that
acknowledgements and requests get their share of the machine, and never later than ``LONGEST``
after the last: neither a flood of changes nor one slow stream can hold the others back.
"""

LONGEST = 0.1
_SHARE = 0.8
"""The part of the time that writing may take when changes never stop; measured, see bench/RESULTS.md."""
_WEIGHT = 0.3


class Pacing:
    """Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.cost = 0.0
        """How long a publication took to be written to the streams, averaged."""
        self._published_at = float("-inf")

    def record_published(self, now: float) -> None:
        self._published_at = now

    def record_written(self, now: float) -> None:
        taken = min(now - self._published_at, LONGEST)
        self.cost += _WEIGHT * (taken - self.cost)

    def earliest(self) -> float:
        """Return when the next publication may go if the last one is written."""
        return self._published_at + min(self.cost / _SHARE, LONGEST)

    def latest(self) -> float:
        """Return when the next publication goes in any case."""
        return self._published_at + LONGEST
