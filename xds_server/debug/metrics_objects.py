"""What is measured of the way from source objects to what is served."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from xds_server.debug.messages import short_name
from xds_server.debug.metric_families import counters, gauges
from xds_server.debug.served import Served
from xds_server.objects.cluster_conf import Pair, Single
from xds_server.store.derive import Derivation


def object_metrics(served: Served) -> Iterator[Metric]:
    yield from _catalog_metrics(served)
    yield from _derivation_metrics(served)
    yield from _source_metrics(served)
    yield from _placement_metrics(served)


def _catalog_metrics(served: Served) -> Iterator[Metric]:
    catalog = served.catalog
    types = list(catalog.types())
    resources = {short_name(kind.url): len(kind.resources) for kind in types}
    encodings = {short_name(kind.url): kind.encodings for kind in types}
    yield GaugeMetricFamily(
        "offmesh_catalog_position", "Number of the latest change served.", catalog.position
    )
    yield gauges("offmesh_resources", "Resources served.", ["type"], resources)
    yield counters(
        "offmesh_encodings", "Responses encoded: one a change, not one a stream.", ["type"], encodings
    )


def _derivation_metrics(served: Served) -> Iterator[Metric]:
    derived = [item for item in served.mesh.graph.collections if isinstance(item, Derivation)]
    runs = {item.name: item.runs for item in derived}
    problems = {item.name: len(item.problems) for item in derived}
    yield counters("offmesh_derivation_runs", "Rows derived anew.", ["collection"], runs)
    tells = "Objects that are used only in part or not at all."
    yield gauges("offmesh_derivation_problems", tells, ["collection"], problems)


def _source_metrics(served: Served) -> Iterator[Metric]:
    objects = {source.name: len(source) for source in served.registry}
    problems = sum(map(len, served.problems.by_place.values()))
    yield gauges("offmesh_source_objects", "Objects read.", ["kind"], objects)
    yield GaugeMetricFamily("offmesh_problems", "Problems of inputs, now.", problems)
    yield CounterMetricFamily(
        "offmesh_problems_reported", "Problems of inputs, ever.", served.problems.reported
    )


def _placement_metrics(served: Served) -> Iterator[Metric]:
    pairs, singles = len(served.registry.of(Pair)), len(served.registry.of(Single))
    yield GaugeMetricFamily("offmesh_placement_pairs", "Pairs in the placement map in force.", pairs)
    yield GaugeMetricFamily(
        "offmesh_placement_singles", "Single nodes in the placement map in force.", singles
    )
    state = served.placement.state
    if state is None:
        return
    yield GaugeMetricFamily(
        "offmesh_placement_loaded_timestamp_seconds",
        "When the placement map in force was loaded, in Unix time.",
        state.loaded_at.timestamp(),
    )
    yield GaugeMetricFamily(
        "offmesh_placement_reload_failing",
        "Whether the file now is not the map in force.",
        bool(state.failure),
    )
    yield CounterMetricFamily("offmesh_placement_reloads", "Reloads of the placement map.", state.reloads)
    yield CounterMetricFamily(
        "offmesh_placement_failed_reloads", "Reloads that kept the map in force.", state.failed_reloads
    )
