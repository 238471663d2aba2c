"""What is measured of clients: their streams, what they were sent and what they said of it."""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from xds_server.debug.messages import type_label
from xds_server.debug.metric_families import counters, gauges
from xds_server.debug.served import Served


def client_metrics(served: Served) -> Iterator[Metric]:
    yield from _stream_metrics(served)
    yield from _exchange_metrics(served)
    yield from _state_metrics(served)


def _stream_metrics(served: Served) -> Iterator[Metric]:
    totals = served.clients.totals
    streams = Counter(dict.fromkeys(totals.streams, 0))
    streams.update(client.variant for client in served.clients)
    yield gauges("offmesh_streams", "Streams that are open.", ["variant"], streams)
    yield counters("offmesh_streams_opened", "Streams ever opened.", ["variant"], totals.streams)
    yield counters("offmesh_streams_ended", "Streams that ended, and why.", ["reason"], totals.ended)


def _exchange_metrics(served: Served) -> Iterator[Metric]:
    totals = served.clients.totals
    for name, tells, counts in (
        ("offmesh_requests", "Requests received.", totals.requests),
        ("offmesh_responses", "Responses written.", totals.responses),
        ("offmesh_response_bytes", "Bytes of the responses written.", totals.response_bytes),
    ):
        yield counters(name, tells, ["type"], _by_label(served, counts))
    verdicts: Counter[tuple[str, ...]] = Counter()
    for (url, verdict), count in totals.acknowledgements.items():
        verdicts[type_label(served.catalog, url), verdict] += count
    tells = "Responses that clients acknowledged or rejected, or nonces that said nothing."
    yield counters("offmesh_acknowledgements", tells, ["type", "verdict"], verdicts)
    yield CounterMetricFamily(
        "offmesh_unknown_types", "Subscriptions to types that are not served.", totals.unknown_types
    )
    yield GaugeMetricFamily(
        "offmesh_largest_request_bytes", "Size of the largest request so far.", totals.largest_request
    )


def _state_metrics(served: Served) -> Iterator[Metric]:
    """How far clients are: a fleet that is stuck shows here before anybody asks for one client."""
    states: Counter[tuple[str, ...]] = Counter()
    since: dict[str, float] = {}
    for client in served.clients:
        for url, subscription in client.session.subscriptions.items():
            label = type_label(served.catalog, url)
            told = subscription.acknowledgements
            states[label, told.state.value] += 1
            if told.oldest_unanswered_at is not None:
                since[label] = min(told.oldest_unanswered_at, since.get(label, told.oldest_unanswered_at))
    yield gauges("offmesh_subscriptions", "Subscriptions by how far they are.", ["type", "state"], states)
    tells = "When the oldest response that no client has answered yet was sent, in Unix time."
    yield gauges("offmesh_oldest_unanswered_timestamp_seconds", tells, ["type"], since)


def _by_label(served: Served, counts: Mapping[str, int]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for url, count in counts.items():
        totals[type_label(served.catalog, url)] += count
    return totals
