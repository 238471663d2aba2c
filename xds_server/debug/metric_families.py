"""Metric families from counts that are kept elsewhere."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Labelled: TypeAlias = Mapping[str, float] | Mapping[tuple[str, ...], float]


def counters(name: str, tells: str, labels: Iterable[str], values: Labelled) -> CounterMetricFamily:
    """Make a counter with one sample for each key: the value of its label, or one for each label."""
    family = CounterMetricFamily(name, tells, labels=tuple(labels))
    for key, value in values.items():
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family


def gauges(name: str, tells: str, labels: Iterable[str], values: Labelled) -> GaugeMetricFamily:
    """Make a gauge with one sample for each key."""
    family = GaugeMetricFamily(name, tells, labels=tuple(labels))
    for key, value in values.items():
        family.add_metric((key,) if isinstance(key, str) else key, value)
    return family
