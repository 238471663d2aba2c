"""How long leadership lasts without a sign of life."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionTiming:
    """
    All times in seconds; the lease is longer than the renewing, and that than 1.2 times the retry.

    The difference of the first two is the room for a clock that is slow and a duty that is slow to end.
    """

    lease_seconds: float = 15.0
    """After which others may lead when the leader is silent."""
    renew_seconds: float = 10.0
    """After which a leader that could not renew its lease leads no longer."""
    retry_seconds: float = 2.0
    """Between renewals, and between tries to lead."""
    release_seconds: float = 2.0
    """Spent at the end on letting others lead at once."""

    @property
    def call_seconds(self) -> float:
        """For one call: several fit in before leadership ends."""
        return self.renew_seconds / 3.0
