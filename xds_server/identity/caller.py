"""The caller of a call on the secure port, as it has proved itself."""

from dataclasses import dataclass
from enum import StrEnum

from xds_server.identity.spiffe import Identity
from xds_server.mesh.placement import name_in


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
    cluster: str = ""
    """Whose token it is, as was proved: the first, or ``DPU_CLUSTER``. No token says this of itself."""

    def __str__(self) -> str:
        return name_in(self.cluster, self.key)


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
    """A node of the same cluster as the pod."""

    @property
    def cluster(self) -> str:
        return self.pod.cluster if self.pod else ""

    @property
    def key(self) -> str:
        """What limits are counted by: the pod, or else the identity."""
        return f"pod {self.pod} {self.pod.uid}" if self.pod else str(self.identity)
