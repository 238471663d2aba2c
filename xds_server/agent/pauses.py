"""How long to wait before everything is looked at again: longer each time for nothing, or in vain."""

from xds_server.agent.settings import Timing


class Pauses:
    """``seconds`` is None until something was held or failed: there is nothing to look at."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._failures = 0
        self._quiet = 0
        self.seconds: float | None = None

    def fail(self) -> None:
        """What was to be held is not: try again, ever later."""
        self.seconds = min(self._timing.first_retry * 2**self._failures, self._timing.longest_retry)
        self._failures = min(self._failures + 1, 16)
        self._quiet = 0

    def succeed(self, *, changed: bool) -> None:
        """It is held; where nothing had changed, the next look is twice as late."""
        self._failures = 0
        self._quiet = 0 if changed else min(self._quiet + 1, 16)
        self.seconds = min(self._timing.first_resync * 2**self._quiet, self._timing.longest_resync)

    def wait(self, seconds: float) -> None:
        """Something is waited for, so long at most."""
        self.seconds = seconds
