"""
The audit log: one line for every identity that was granted or denied, and what was issued.

A line tells who asked for what by which way, and the outcome; of a certificate its serial number
and times. Never a token, a CSR or a key.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from xds_server.identity.caller import Caller
from xds_server.identity.signing.signer import Certificate

_KEPT = 100_000
_SHOWN = 200

log = logging.getLogger(__name__)


class Way(StrEnum):
    """By which service an identity was asked for."""

    CERTIFICATE = "CreateCertificate"
    SECRET = "SDS"  # noqa: S105 - no secret


@dataclass(frozen=True, slots=True)
class Issued:
    """The latest certificate of an identity."""

    serial: str
    not_before: int
    not_after: int
    caller: str
    node: str
    way: Way


class Audit:
    """Writes the log, counts outcomes, and remembers the latest certificate of each identity."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, ...]] = Counter()
        """By way and outcome (``granted`` or ``denied``)."""
        self._issued: dict[str, Issued] = {}

    def granted(self, way: Way, caller: Caller, certificate: Certificate) -> None:
        self.outcomes[way, "granted"] += 1
        identity = str(certificate.identity)
        self._issued.pop(identity, None)
        self._issued[identity] = Issued(
            certificate.serial,
            certificate.not_before,
            certificate.not_after,
            _name(caller),
            caller.node,
            way,
        )
        if len(self._issued) > _KEPT:
            del self._issued[next(iter(self._issued))]
        log.info(
            "granted %s to %s on node %s by %s: serial %s, valid %d s",
            identity,
            _name(caller),
            caller.node or "-",
            way,
            certificate.serial,
            certificate.not_after - certificate.not_before,
        )

    def denied(self, way: Way, caller: Caller, wanted: str, reason: str) -> None:
        self.outcomes[way, "denied"] += 1
        shown = wanted[:_SHOWN]
        log.warning("denied %r to %s on node %s by %s: %s", shown, _name(caller), caller.node, way, reason)

    def issued(self) -> Iterator[tuple[str, Issued]]:
        """Yield the latest certificate of each identity, the one issued longest ago first."""
        yield from self._issued.items()


def _name(caller: Caller) -> str:
    return f"pod {caller.pod}" if caller.pod else str(caller.identity)
