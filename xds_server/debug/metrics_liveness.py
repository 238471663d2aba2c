"""What is measured of the liveness of pairs; which pairs they are, ``/debug/livenessz`` tells."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from xds_server.debug.metric_families import counters
from xds_server.debug.served import Served


def liveness_metrics(served: Served) -> Iterator[Metric]:
    liveness = served.liveness
    if liveness is None:
        return
    down = sum(verdict.down for verdict in liveness.judged.values())
    yield GaugeMetricFamily(
        "offmesh_pairs_judged", "Pairs whose DPU node has an agent.", len(liveness.judged)
    )
    yield GaugeMetricFamily("offmesh_pairs_down", "Judged pairs that are down.", down)
    told = {to: float(liveness.transitions[to]) for to in ("down", "up")}
    yield counters("offmesh_pair_transitions", "How often a pair came to be down, or up.", ["to"], told)
