"""What is told of the liveness of pairs: which are judged, by what, and what follows."""

from collections import Counter

from xds_server.debug.json_text import Json
from xds_server.debug.question import Question
from xds_server.debug.served import Served
from xds_server.liveness.verdicts import PairVerdict
from xds_server.liveness.watch import Liveness
from xds_server.mesh.placement import Placement


def livenessz(served: Served, question: Question) -> Json:
    """Tell the verdict on each judged pair, which pairs are not judged, and which Leases are of no pair."""
    liveness, node = served.liveness, question.text("node")
    judged = liveness.judged if liveness else {}
    in_force = _in_force(served.mesh.placement)
    leases = liveness.verdicts.leases if liveness else {}
    stray = leases.keys() - set(in_force.values())
    transitions = liveness.transitions if liveness else Counter[str]()
    return {
        "watched": liveness is not None,
        "policy": served.settings.mesh.unhealthy_pairs,
        "down": sum(verdict.down for verdict in judged.values()),
        "transitions": {"down": transitions["down"], "up": transitions["up"]},
        "pairs": _pairs(liveness, node) if liveness else [],
        "unjudged": [
            {"cpuNode": cpu, "dpuNode": dpu}
            for cpu, dpu in sorted(in_force.items())
            if cpu not in judged and node in ("", cpu, dpu)
        ],
        "strayLeases": sorted(name for name in stray if node in ("", name)),
    }


def _in_force(placement: Placement) -> dict[str, str]:
    """Return the DPU node of each CPU node, where both have names."""
    pairs = (
        placement.placed_by_cpu.rows(row.cpu_node)[0] for _, row in placement.placed.items() if row.cpu_node
    )
    return {pair.cpu_node: pair.dpu_node for pair in pairs if pair.dpu_node}


def _pairs(liveness: Liveness, node: str) -> list[Json]:
    """Tell them all of one moment: an answer is written while verdicts go on changing."""
    now = liveness.clock()
    return [
        _pair(liveness, cpu, verdict, now)
        for cpu, verdict in sorted(liveness.judged.items())
        if node in ("", cpu, verdict.dpu_node)
    ]


def _pair(liveness: Liveness, cpu: str, verdict: PairVerdict, now: float) -> Json:
    lease, hold_until = liveness.verdicts.leases.get(verdict.dpu_node), liveness.verdicts.hold_until(cpu)
    return {
        "cpuNode": cpu,
        "dpuNode": verdict.dpu_node,
        "state": "down" if verdict.down else "up",
        "reasons": list(verdict.reasons),
        "forSeconds": round(now - verdict.since, 1),
        "heldForSeconds": None if hold_until is None else round(max(hold_until - now, 0.0), 1),
        "leaseSeconds": lease.seconds if lease else None,
        "renewalSeenSecondsAgo": round(now - lease.renewed_at, 1) if lease else None,
    }
