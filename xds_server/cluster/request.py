"""What is asked of a Kubernetes API server, and what a refusal of it means."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from xds_server.exceptions import ClusterError

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class Request:
    """A call of the Kubernetes API; ``right`` names what RBAC must grant for it."""

    method: str
    path: str
    body: dict[str, Any] | None = field(default=None, repr=False)
    """May hold secrets, which belong in no log."""
    query: Mapping[str, str] = field(default_factory=dict)
    _: KW_ONLY
    content_type: str = JSON
    accept: str = JSON
    right: str = ""

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class ApiError(ClusterError):
    """The API server answered, and not with what was asked for."""

    def __init__(self, message: str, code: int, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.code = code
        """HTTP status, or that of a Status object within a stream."""
        self.retry_after = retry_after
        """Seconds the server asks to be left alone for; 0 when it does not say."""


class Status(msgspec.Struct, frozen=True):
    """What the API server says of a failure (kind Status of v1)."""

    message: str = ""
    reason: str = ""
    code: int = 0


def read_status(content: bytes) -> Status:
    """Return the Status in a body; an empty one where there is none."""
    try:
        return msgspec.json.decode(content, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Status()


def refusal(request: Request, code: int, content: bytes = b"", retry_after: str = "") -> ApiError:
    """Return what an answer other than success means, in words an operator can act on."""
    return ApiError(f"{request}: {_meaning(request, code, content)}", code, _seconds(retry_after))


def _meaning(request: Request, code: int, content: bytes) -> str:
    if code == 401:
        return "the Kubernetes API does not know this server (401): expected valid credentials"
    if code == 403:
        wanted = f": expected {request.right}" if request.right else ""
        return f"this server's account lacks the right (403){wanted}"
    if code == 429:
        return "the Kubernetes API has too much to do (429)"
    told = read_status(content).message[:300]
    return f"the Kubernetes API failed ({code})" + (f": {told}" if told else "")


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
