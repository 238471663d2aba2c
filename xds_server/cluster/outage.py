"""A log line when something begins to fail, one when it fails otherwise, one when it is back."""

import logging


class Outage:
    """Whether one thing asked of the cluster fails, and why."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._reason = ""

    def begin(self, reason: str) -> None:
        if reason != self._reason:
            self._log.warning("%s: %s", self._what, reason)
        self._reason = reason

    def end(self) -> None:
        if self._reason:
            self._log.info("%s: works again", self._what)
        self._reason = ""
