"""How long to wait before the API server is asked again."""

from collections.abc import Callable
from dataclasses import dataclass

from xds_server.cluster.request import ApiError
from xds_server.exceptions import ClusterError

_MOST_DOUBLINGS = 16


@dataclass(slots=True)
class Backoff:
    """
    Pauses in seconds, each twice the last up to a bound, shortened at random by up to a half.

    So many clients that have lost one server do not come back in step. A server that names a pause
    is given at least that; a missing right is not asked for at every moment.
    """

    random: Callable[[], float]
    """Uniform in [0, 1)."""
    first: float = 0.2
    longest: float = 10.0
    forbidden: float = 5.0
    failures: int = 0

    def after(self, error: ClusterError) -> float:
        """Return the pause after one more failure."""
        pause = min(self.first * 2.0 ** min(self.failures, _MOST_DOUBLINGS), self.longest)
        self.failures += 1
        pause *= 1.0 - self.random() / 2.0
        if isinstance(error, ApiError):
            if error.code in (401, 403):
                pause = max(pause, self.forbidden)
            pause = max(pause, error.retry_after)
        return pause

    def reset(self) -> None:
        self.failures = 0
