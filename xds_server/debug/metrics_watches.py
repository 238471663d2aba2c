"""What is measured of the way from the API server to the source objects."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from xds_server.debug.metric_families import counters, gauges
from xds_server.debug.served import Served


def watch_metrics(served: Served) -> Iterator[Metric]:
    if served.watches is None:
        return
    contacts = {one.kind.name: one.contact for one in served.watches.reflectors}

    def label(counted: str) -> dict[str, float]:
        return {name: float(getattr(contact, counted)) for name, contact in contacts.items()}

    failing = {name: float(bool(contact.failure)) for name, contact in contacts.items()}
    yield gauges("offmesh_watch_failing", "Whether a kind cannot be followed now.", ["kind"], failing)
    yield counters("offmesh_watch_events", "Events received.", ["kind"], label("events"))
    yield counters("offmesh_watch_lists", "Whole lists read.", ["kind"], label("lists"))
    yield counters("offmesh_watch_resumptions", "Watches that were resumed.", ["kind"], label("resumed"))
    yield counters("offmesh_watch_checks", "Comparisons with an exact list.", ["kind"], label("checks"))
    yield counters("offmesh_watch_drift", "Objects that were missed, and mended.", ["kind"], label("drift"))
    if served.election is not None:
        leading = "Whether this replica does what only one may."
        yield GaugeMetricFamily("offmesh_leading", leading, served.election.leading)
        changed = "How often leadership has changed hands."
        yield CounterMetricFamily("offmesh_leader_transitions", changed, served.election.transitions)
    tells = "Watches that repeated events or told them out of order."
    yield counters("offmesh_watch_disorder", tells, ["kind"], label("disorder"))
