"""The caller of a call on the secure port, as it has proved itself."""

from dataclasses import dataclass
from enum import StrEnum

from xds_server.identity.spiffe import Identity


class Proof(StrEnum):
    """By what a caller proved who it is."""

    TOKEN = "token"  # noqa: S105 - no secret
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class BoundPod:
    """The pod a token was given to, as the token names it."""

    key: str
    """``namespace/name``."""
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """
    Who calls. ``node`` is the node of its pod in our own view, empty for a certificate.

    Only a token names a pod, so only a token can carry the rights of a node.
    """

    identity: Identity
    proof: Proof
    expires_at: float
    """Seconds since the epoch at which the proof ends."""
    pod: BoundPod | None = None
    node: str = ""

    @property
    def key(self) -> str:
        """What limits are counted by: the pod, or else the identity."""
        return f"pod {self.pod.key} {self.pod.uid}" if self.pod else str(self.identity)
