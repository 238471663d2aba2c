"""``/metrics``: what the parts of the server count by themselves, read when a scrape asks."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from xds_server import __version__
from xds_server.debug.metric_families import gauges
from xds_server.debug.metrics_clients import client_metrics
from xds_server.debug.metrics_identity import identity_metrics
from xds_server.debug.metrics_liveness import liveness_metrics
from xds_server.debug.metrics_objects import object_metrics
from xds_server.debug.metrics_watches import watch_metrics
from xds_server.debug.served import Served

_LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class ServedCollector(Collector):
    """Reads a server at scrape time: nothing is counted twice, and nothing goes stale."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def collect(self) -> Iterator[Metric]:
        yield from server_metrics(self._served)
        yield from client_metrics(self._served)
        yield from object_metrics(self._served)
        yield from watch_metrics(self._served)
        yield from liveness_metrics(self._served)
        yield from identity_metrics(self._served)


class Metrics:
    """All metrics of one server, those of its process among them."""

    def __init__(self, served: Served) -> None:
        self._registry = CollectorRegistry()
        self.event_loop_lag = Histogram(
            "offmesh_event_loop_lag_seconds",
            "How late the event loop ran what was due.",
            buckets=_LAG_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(ServedCollector(served))
        for collector in (ProcessCollector, GCCollector, PlatformCollector):
            collector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics and their content type: OpenMetrics when asked, else Prometheus text."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # It cannot compare a version that is no number; who writes such a header reads plain text.
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type


def server_metrics(served: Served) -> Iterator[Metric]:
    """Measure the server as a whole."""
    yield gauges("offmesh_build_info", "The version of this server, always 1.", ["version"], {__version__: 1})
    yield GaugeMetricFamily("offmesh_ready", "Whether clients may be sent here.", served.readiness.ready)
    yield GaugeMetricFamily(
        "offmesh_writes_waiting", "Large responses that wait for their turn.", len(served.admission)
    )
