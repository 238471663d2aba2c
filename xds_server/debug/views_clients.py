"""What is told of clients: who is connected, what each wants, how far each is."""

from collections.abc import Iterator
from heapq import nsmallest
from itertools import islice

from xds_server import __version__
from xds_server.catalog.overlay import ServedCatalog
from xds_server.debug.json_text import Json
from xds_server.debug.messages import short_name
from xds_server.debug.question import Question
from xds_server.debug.served import Served
from xds_server.debug.times import epoch_text
from xds_server.sessions.clients import Client
from xds_server.sessions.subscription import Subscription

_NAMES_SHOWN = 100
# A client may follow a million names: the first are picked of so many, not of all.
_NAMES_CONSIDERED = 10_000
_TEXT_SHOWN = 500


def syncz(served: Served, question: Question) -> Json:
    """Tell what each client was sent of each type, and what it said of it."""
    catalog = served.catalog
    clients = (
        _identity(client)
        | {
            "types": {
                name: sync_state(subscription, client.session.catalog, question.now)
                for name, subscription in by_type(client)
            }
        }
        for client in picked_clients(served, question)
    )
    return {
        "version": __version__,
        "time": epoch_text(question.now),
        "position": catalog.position,
        "clients": clients,
    }


def adsz(served: Served, question: Question) -> Json:
    """Tell who is connected since when, and to what each subscribed."""
    clients = (
        _identity(client)
        | {
            "peer": client.peer,
            "since": epoch_text(client.since),
            "variant": client.variant,
            "lastWriteAt": epoch_text(client.last_write_at),
            "writingSince": epoch_text(client.writing_since),
            "unknownTypes": client.session.unknown_types,
            "subscriptions": {name: _subscribed(subscription) for name, subscription in by_type(client)},
        }
        for client in picked_clients(served, question)
    )
    return {"clients": clients}


def picked_clients(served: Served, question: Question) -> Iterator[Client]:
    """Return the clients of a node, or all, as they are now, in the order of their ids."""
    node = question.text("node")
    clients = [client for client in served.clients if node in ("", client.session.node_name)]
    return iter(sorted(clients, key=lambda client: (client.session.node_id, client.number)))


def by_type(client: Client) -> Iterator[tuple[str, Subscription]]:
    """Yield subscriptions by short type name; a type that is not served keeps what the client called it."""
    catalog = client.session.catalog
    for url, subscription in tuple(client.session.subscriptions.items()):
        yield short_name(url) if catalog.serves(url) else f"unknown {url[:_TEXT_SHOWN]}", subscription


def is_behind(subscription: Subscription, catalog: ServedCatalog) -> bool:
    """Tell whether the client is owed what it was not sent yet."""
    if subscription.owes_answer or subscription.later:
        return True
    return subscription.cursor < catalog.of(subscription.type_url).position


def sync_state(subscription: Subscription, catalog: ServedCatalog, now: float) -> Json:
    """Tell one type of one client; ages are in seconds, times are null for what never was."""
    told = subscription.acknowledgements
    oldest = told.oldest_unanswered_at
    return {
        "state": told.state.value,
        "behind": is_behind(subscription, catalog),
        "cursor": subscription.cursor,
        "position": catalog.of(subscription.type_url).position,
        "sent": told.sent,
        "sentAt": epoch_text(told.sent_at),
        "bytes": told.sent_bytes,
        "nonce": told.sent_nonce,
        "acknowledged": told.acknowledged,
        "acknowledgedAt": epoch_text(told.acknowledged_at),
        "acknowledgedNonce": told.acknowledged_nonce,
        "rejected": told.rejected,
        "rejectedAt": epoch_text(told.rejected_at),
        "rejection": told.rejection,
        "stale": told.stale,
        "oldestUnansweredSeconds": None if oldest is None else round(max(now - oldest, 0.0), 3),
    }


def _identity(client: Client) -> dict[str, object]:
    return {
        "id": client.id,
        "node": client.session.node_name,
        "pod": _pod(client.session.node_id),
        "identity": client.caller or None,
    }


def _pod(node_id: str) -> str:
    """``name.namespace`` of an id like ``ztunnel~10.0.0.1~name.namespace~domain``."""
    parts = node_id.split("~")
    return parts[2] if len(parts) == 4 else ""


def _subscribed(subscription: Subscription) -> Json:
    first = nsmallest(_NAMES_SHOWN, islice(subscription.names, _NAMES_CONSIDERED))
    return {
        "wildcard": subscription.wildcard,
        "count": len(subscription.names),
        "names": [name[:_TEXT_SHOWN] for name in first],
    }
