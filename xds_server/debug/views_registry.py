"""What is told of the source objects: how many, which, and how they are followed."""

import asyncio
from functools import partial

from xds_server.debug.json_text import SKIPPED, Json
from xds_server.debug.ordering import in_order
from xds_server.debug.question import Question, RefusedError
from xds_server.debug.served import Candidacy, Served
from xds_server.sources.captures import captured
from xds_server.sources.kubernetes.reflector import Reflector
from xds_server.sources.kubernetes.source import KubernetesSource
from xds_server.store.collection import Source


def registryz(served: Served, question: Question) -> Json:
    """
    Tell how many source objects of each kind there are, and their names when asked for some.

    ``full`` tells the objects too; of all kinds and namespaces, that is a capture.
    """
    namespace = question.text("ns")
    kind = question.text("kind")
    full = question.flag("full")
    sources = [_known_kind(served, kind)] if kind else list(served.registry)
    tell = partial(_objects, namespace=namespace, with_names=bool(full or namespace or kind), full=full)
    return {
        "kinds": {source.name: tell(source) for source in sources},
        **(_surroundings(served) if full and not namespace and not kind else {}),
        "files": dict(served.objects.files),
        "ignored": dict(served.objects.ignored),
        "unsynced": served.registry.unsynced,
        **({"watches": _watches(served.watches)} if served.watches else {}),
        **({"election": _election(served.election)} if served.election else {}),
    }


def _election(candidacy: Candidacy) -> Json:
    """Tell which replica does what only one may."""
    return {
        "leading": candidacy.leading,
        "leader": candidacy.leader,
        "transitions": candidacy.transitions,
    }


def _watches(source: KubernetesSource) -> list[Json]:
    """Tell how the following of each kind goes."""
    now = asyncio.get_running_loop().time()
    return [_watch(one, now) for one in source.reflectors]


def _watch(reflector: Reflector, now: float) -> Json:
    contact = reflector.contact
    return {
        "kind": reflector.kind.name,
        "path": reflector.path,
        "installed": contact.installed,
        "version": contact.version,
        "heardSecondsAgo": round(now - contact.heard_at, 1) if contact.heard_at else None,
        "failure": contact.failure,
        "events": contact.events,
        "lists": contact.lists,
        "streamedLists": contact.streamed,
        "resumed": contact.resumed,
        "checks": contact.checks,
        "drift": contact.drift,
        "disorder": contact.disorder,
    }


def _known_kind(served: Served, kind: str) -> Source[object]:
    for source in served.registry:
        if source.name.lower() == kind.lower():
            return source
    known = ", ".join(sorted(source.name for source in served.registry))
    raise RefusedError(400, f"parameter kind is {kind[:100]!r}: expected one of {known}")


def _surroundings(served: Served) -> Json:
    """Tell what a mesh is derived with, beside its objects."""
    return {"mesh": captured(served.settings.mesh), "twoClusters": served.mesh.two_clusters}


def _objects(source: Source[object], *, namespace: str, with_names: bool, full: bool) -> Json:
    """Tell objects as they are now: what is told later is of one moment."""
    prefix = f"{namespace}/" if namespace else ""
    rows = [row for row in source.items() if row[0].startswith(prefix)]
    told: dict[str, object] = {"count": len(rows), "synced": source.synced}
    if with_names:
        told["names"] = (SKIPPED if row is None else row[0] for row in in_order(rows, _key))
    if full:
        told["objects"] = (
            SKIPPED if row is None else {"key": row[0], "value": captured(row[1])}
            for row in in_order(rows, _key)
        )
    return told


def _key(row: tuple[str, object]) -> str:
    return row[0]
