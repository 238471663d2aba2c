"""What one client was sent."""

from collections.abc import Iterator, Set

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.resource import WORKLOAD, Resource
from xds_server.catalog.served_type import ServedType
from xds_server.debug.json_text import SKIPPED, Json
from xds_server.debug.messages import decoded, proto_json, short_name
from xds_server.debug.ordering import in_order
from xds_server.debug.question import Question, RefusedError
from xds_server.debug.served import Served
from xds_server.debug.views_clients import is_behind
from xds_server.sessions.clients import Client
from xds_server.sessions.session import FOUND_BY_LOOKUP
from xds_server.sessions.subscription import Subscription

_IDS_SHOWN = 100


def config_dump(served: Served, question: Question) -> Json:
    """Tell, by type, the resources a client was sent; ``pending`` ones changed and are not sent yet."""
    client = _one_client(served, question.text("client"))
    wanted = _known_type(served.catalog, question.text("type"))
    subscriptions = {
        short_name(url): subscription
        for url, subscription in client.session.subscriptions.items()
        if served.catalog.serves(url)
    }
    return {
        "client": client.id,
        "node": client.session.node_name,
        "position": served.catalog.position,
        "behind": any(is_behind(subscription, served.catalog) for subscription in subscriptions.values()),
        "types": {
            name: _of_type(subscription, served.catalog, question.text("name"))
            for name, subscription in subscriptions.items()
            if wanted in ("", name)
        },
    }


def _one_client(served: Served, wanted: str) -> Client:
    if not wanted:
        raise RefusedError(400, "parameter client is missing: expected an id that /debug/adsz tells")
    found = served.clients.find(wanted)
    if not found:
        raise RefusedError(404, f"no client {wanted[:100]!r} is connected: /debug/adsz tells which are")
    if len(found) > 1:
        ids = [client.id for client in found[:_IDS_SHOWN]]
        raise RefusedError(
            409, f"{len(found)} clients are {wanted[:100]!r}: expected one id (# is written %23)", clients=ids
        )
    return found[0]


def _known_type(catalog: Catalog, wanted: str) -> str:
    names = {short_name(served.url) for served in catalog.types()} | {short_name(WORKLOAD)}
    name = short_name(wanted)
    if name in names | {""}:
        return name
    raise RefusedError(400, f"parameter type is {wanted[:100]!r}: expected one of {', '.join(sorted(names))}")


def _of_type(subscription: Subscription, catalog: Catalog, name: str) -> Json:
    served = catalog.of(subscription.type_url)
    pending = subscription.later.union(served.changed_since(subscription.cursor))
    return {
        "wildcard": subscription.wildcard,
        "cursor": subscription.cursor,
        "position": served.position,
        "behind": is_behind(subscription, catalog),
        "pendingRemovals": _removals(subscription, served, pending),
        "resources": _told(_sent(subscription, catalog), pending, name),
    }


def _sent(subscription: Subscription, catalog: Catalog) -> list[Resource]:
    """Return resources as they are now: what is told later is of one moment."""
    held = catalog.of(subscription.type_url).resources
    if not subscription.acknowledgements.sent:
        return []
    if subscription.wildcard:
        return list(held.values())
    followed: set[str] = subscription.names
    if subscription.type_url in FOUND_BY_LOOKUP:
        followed = {found for name in followed for found in catalog.lookup.find(name)}
    return [held[name] for name in followed & held.keys()]


def _removals(subscription: Subscription, served: ServedType, pending: Set[str]) -> list[str]:
    followed = pending if subscription.wildcard else pending & subscription.names
    return sorted(followed - served.resources.keys())


def _told(resources: list[Resource], pending: Set[str], wanted: str) -> Iterator[object]:
    for resource in in_order(resources, lambda resource: resource.name):
        if resource is None or wanted not in resource.name:
            yield SKIPPED
            continue
        told = {"name": resource.name, "version": resource.version, "message": proto_json(decoded(resource))}
        yield told | {"pending": True} if resource.name in pending else told
