"""What is told of the inputs: the placement map, the source objects, and what could not be used."""

import asyncio
from collections.abc import Iterator

from xds_server.debug.json_text import SKIPPED, Json
from xds_server.debug.ordering import in_order
from xds_server.debug.question import Question, RefusedError
from xds_server.debug.served import Candidacy, LoadedMap, Served
from xds_server.debug.times import time_text
from xds_server.exceptions import Problem
from xds_server.mesh.placement_report import placement_report
from xds_server.sources.kubernetes.reflector import Reflector
from xds_server.sources.kubernetes.source import KubernetesSource
from xds_server.store.collection import Source


def placementz(served: Served, _question: Question) -> Json:
    """Tell the placement map in force, and what in it does not agree with the cluster's nodes."""
    report = placement_report(served.mesh.placement)
    pairs = (
        {
            "cpuNodeIP": pair.cpu_node_ip,
            "cpuNodeName": pair.cpu_node,
            "dpuNodeIP": pair.dpu_node_ip,
            "dpuNodeName": pair.dpu_node,
        }
        for pair in report.pairs
    )
    return {
        **_loaded(served, served.placement.state),
        "pairs": pairs,
        "singles": ({"nodeIP": single.node_ip, "nodeName": single.node} for single in report.singles),
        "unmapped": iter(report.unmapped),
        "unresolved": iter(report.unresolved),
        "conflicts": iter(report.conflicts),
    }


def _loaded(served: Served, state: LoadedMap | None) -> Json:
    if state is None:
        path = str(served.settings.cluster_conf)
        return {"path": path, "loadedAt": None, "digest": "", "reloads": 0, "failedReloads": 0, "failure": []}
    return {
        "path": str(state.path),
        "loadedAt": time_text(state.loaded_at),
        "digest": state.digest,
        "reloads": state.reloads,
        "failedReloads": state.failed_reloads,
        "failure": [str(problem) for problem in state.failure],
    }


def registryz(served: Served, question: Question) -> Json:
    """Tell how many source objects of each kind there are, and their names when asked for some."""
    namespace = question.text("ns")
    kind = question.text("kind")
    with_names = question.flag("full") or bool(namespace or kind)
    sources = [_known_kind(served, kind)] if kind else list(served.registry)
    return {
        "kinds": {source.name: _objects(source, namespace, with_names) for source in sources},
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


def _objects(source: Source[object], namespace: str, with_names: bool) -> Json:
    prefix = f"{namespace}/" if namespace else ""
    keys = [key for key in source if key.startswith(prefix)]
    told: dict[str, object] = {"count": len(keys), "synced": source.synced}
    if with_names:
        told["names"] = (SKIPPED if key is None else key for key in in_order(keys, str))
    return told


def errorsz(served: Served, question: Question) -> Json:
    """Tell which inputs were refused and which objects are used only in part or not at all."""
    name = question.text("name")
    places = sorted(served.problems.by_place.items())
    inputs = [(place, problem) for place, problems in places for problem in problems]
    derived = list(served.mesh.problems())
    return {
        "counts": {"inputs": len(inputs), "derived": len(derived), "reported": served.problems.reported},
        "inputs": _found((_problem(place, problem) for place, problem in inputs), "text", name),
        "derived": _found(
            ({"collection": where, "key": key, "reason": reason} for where, key, reason in derived),
            "key",
            name,
        ),
    }


def _problem(place: str, problem: Problem) -> Json:
    return {
        "place": place,
        "where": problem.where,
        "subject": problem.subject,
        "value": problem.value,
        "expected": problem.expected,
        "text": str(problem),
    }


def _found(elements: Iterator[Json], key: str, name: str) -> Iterator[object]:
    return (element if name in str(element[key]) else SKIPPED for element in elements)
