"""What is told of the inputs: the placement map, and what could not be used."""

from collections.abc import Iterator

from xds_server.debug.json_text import SKIPPED, Json
from xds_server.debug.question import Question
from xds_server.debug.served import LoadedMap, Served
from xds_server.debug.times import time_text
from xds_server.exceptions import Problem
from xds_server.mesh.placement_report import placement_report


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
