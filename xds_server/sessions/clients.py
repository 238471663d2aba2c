"""Who is connected, and what all streams together have done."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from xds_server.sessions.session import Session


@dataclass(slots=True)
class Client:
    """One open stream. ``number`` is unique in this process; times are seconds since the epoch."""

    number: int
    session: Session
    variant: str
    peer: str
    since: float
    caller: str = ""
    """The identity the client has proved, empty where nobody is asked."""
    last_write_at: float = 0.0
    writing_since: float | None = None
    logged_rejection: str = ""

    @property
    def id(self) -> str:
        """The node's own id, made unique: two streams of one node are two clients."""
        return f"{self.session.node_id or 'unknown'}#{self.number}"


@dataclass(slots=True)
class Totals:
    """Counts since the start, also of streams that are gone; keyed by type URL where it matters."""

    streams: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    responses: Counter[str] = field(default_factory=Counter)
    response_bytes: Counter[str] = field(default_factory=Counter)
    acknowledgements: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown_types: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    largest_request: int = 0


class Clients:
    """The open streams by number."""

    def __init__(self) -> None:
        self.totals = Totals()
        self._open: dict[int, Client] = {}
        self._last = 0

    def connect(self, session: Session, variant: str, peer: str, now: float) -> Client:
        self._last += 1
        client = Client(self._last, session, variant, peer, now)
        self._open[client.number] = client
        self.totals.streams[variant] += 1
        return client

    def disconnect(self, client: Client, why: str) -> None:
        del self._open[client.number]
        self.totals.ended[why] += 1

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Client]:
        yield from self._open.values()

    def find(self, wanted: str) -> list[Client]:
        """Return the streams ``wanted`` names: full id, node id, pod (``name.namespace``) or number."""
        return [client for client in self if wanted and wanted in _names(client)]


def _names(client: Client) -> tuple[str, ...]:
    node_id = client.session.node_id
    parts = node_id.split("~")
    pod = parts[2] if len(parts) == 4 else ""
    return (client.id, node_id, pod, str(client.number))
