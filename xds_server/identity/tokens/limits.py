"""How long results are believed, and how much a flood of tokens may ask of the cluster."""

import random
from collections.abc import Callable
from dataclasses import dataclass

LONGEST_TOKEN = 8_192
"""Characters. A bound token of Kubernetes has about 1,200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimits:
    """All times in seconds."""

    fresh_seconds: float = 60.0
    """A proved token is proved again after this, so that a withdrawn key or a deleted pod comes to count."""
    refused_seconds: float = 10.0
    undecided_seconds: float = 1.0
    """After a check that failed, one token is not checked again before this."""
    grace_seconds: float = 10.0
    """A proved token that cannot be proved again now is tried again after this."""
    refresh_seconds: float = 10.0
    """Signing keys are not asked for again before this and up to a quarter more."""
    keys_age_seconds: float = 300.0
    """Keys older than this are asked for again while the held ones stay in use."""
    timeout_seconds: float = 5.0
    reviews_in_flight: int = 16
    reviews_waiting: int = 256
    proved_held: int = 16_384
    refused_held: int = 4_096
    jitter: Callable[[], float] = random.random
    """Returns a number of [0, 1)."""
