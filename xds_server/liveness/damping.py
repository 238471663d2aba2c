"""
One node's part in the health of its pairs, damped.

Rules
1. A fault acts at once: what it takes to be sure of it is the business of whoever tells of it.
2. Its end acts when it has lasted for a hold time without a break. That is ``recovery_seconds``, and
   twice as long for each flap: a fault within ``flap_seconds`` of having come up. A node that fails
   more often than its hold time stays down.
3. Flaps are forgotten after ``quiet_seconds`` in which health did not change, for better or worse.
"""

from dataclasses import dataclass, field
from enum import StrEnum

_MOST_DOUBLINGS = 16


class Reason(StrEnum):
    """Why a pair is down, the gravest first."""

    LEASE_EXPIRED = "LeaseExpired"
    DPU_NOT_READY = "DPUNotReady"
    CPU_NOT_READY = "CPUNotReady"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damping:
    """All times in seconds."""

    recovery_seconds: float = 2.0
    longest_seconds: float = 60.0
    flap_seconds: float = 300.0
    quiet_seconds: float = 600.0


@dataclass(slots=True)
class Side:
    """A node in one of the two roles; times are arguments, in seconds, and never go back."""

    damping: Damping
    down: bool = False
    reasons: tuple[Reason, ...] = ()
    """While down: what is wrong, or was when last anything was."""
    flaps: int = 0
    _faulty: bool = False
    _changed_at: float = field(default=float("-inf"))
    _up_at: float = field(default=float("-inf"))

    def advance(self, faults: tuple[Reason, ...], now: float) -> None:
        """Take what is wrong now, and what follows from that and from the time."""
        if bool(faults) != self._faulty:
            if now - self._changed_at >= self.damping.quiet_seconds:
                self.flaps = 0
            self._faulty, self._changed_at = bool(faults), now
        if faults:
            self._fail(faults, now)
        elif self.hold_until is not None and now >= self.hold_until:
            self.down, self.reasons, self._up_at = False, (), now

    def _fail(self, faults: tuple[Reason, ...], now: float) -> None:
        self.reasons = faults
        if not self.down:
            self.down = True
            self.flaps += now - self._up_at < self.damping.flap_seconds

    @property
    def hold_until(self) -> float | None:
        """When this node is up again if nothing happens; None where it is up, or faulty."""
        if self._faulty or not self.down:
            return None
        doubled = self.damping.recovery_seconds * 2.0 ** min(self.flaps, _MOST_DOUBLINGS)
        return self._changed_at + min(doubled, self.damping.longest_seconds)
