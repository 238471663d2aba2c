"""
What a client said of the responses of one type.

Rule 1: a nonce acknowledges the response it came with and, because a stream is ordered, all
before it. Rule 2: a nonce never sent, or acknowledged already, says nothing ("stale"). Rule 3: a
rejection is remembered until a later response is acknowledged; nothing is sent again because of it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

# Enough for any client that answers at all; one that never does must not grow a list.
_REMEMBERED = 256
_REASON_LENGTH = 2_000


class Verdict(Enum):
    """What became of one acknowledgement."""

    ACKNOWLEDGED = "acknowledged"
    REJECTED = "rejected"
    STALE = "stale"
    NONE = "none"


class SyncState(Enum):
    """How far a client is with one type, in the words of ``/debug/syncz``."""

    NOT_SENT = "NOT SENT"
    SENT = "SENT"
    SYNCED = "SYNCED"
    REJECTED = "REJECTED"


@dataclass(slots=True)
class Acknowledgements:
    """Counts, last nonces and times (seconds since the epoch) of one type on one stream."""

    sent: int = 0
    acknowledged: int = 0
    rejected: int = 0
    stale: int = 0
    sent_bytes: int = 0
    sent_nonce: str = ""
    sent_at: float = 0.0
    acknowledged_nonce: str = ""
    acknowledged_at: float = 0.0
    rejection: str = ""
    rejected_at: float = 0.0
    _open: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def record_sent(self, nonce: str, size: int, now: float) -> None:
        self.sent += 1
        self.sent_bytes += size
        self.sent_nonce, self.sent_at = nonce, now
        self._open[nonce] = now
        if len(self._open) > _REMEMBERED:
            self._open.popitem(last=False)

    def receive(self, nonce: str, rejection: str | None, now: float) -> Verdict:
        """Judge the nonce of a request; ``rejection`` is the client's reason, None if it accepted."""
        if not nonce:
            return Verdict.NONE
        if nonce not in self._open:
            self.stale += 1
            return Verdict.STALE
        while self._open.popitem(last=False)[0] != nonce:
            pass
        if rejection is not None:
            self.rejected += 1
            self.rejection, self.rejected_at = rejection[:_REASON_LENGTH] or "no reason given", now
            return Verdict.REJECTED
        self.acknowledged += 1
        self.acknowledged_nonce, self.acknowledged_at = nonce, now
        self.rejection = ""
        return Verdict.ACKNOWLEDGED

    @property
    def state(self) -> SyncState:
        if not self.sent:
            return SyncState.NOT_SENT
        if self.rejection:
            return SyncState.REJECTED
        return SyncState.SENT if self._open else SyncState.SYNCED

    @property
    def oldest_unanswered_at(self) -> float | None:
        return next(iter(self._open.values()), None)
