"""The values of the chart are all explained, all checked, and taken as they are written."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

from tests.helpers.helm import CHART, Values, rendered


def test_the_schema_knows_exactly_the_values_there_are() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(_leaves(schema)) - {("global",)} == set(_paths(values, schema))


def _leaves(schema: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of values that the schema says nothing further of."""
    if "properties" not in schema:
        yield at
        return
    assert schema["additionalProperties"] is False, at
    for key, inner in schema["properties"].items():
        yield from _leaves(inner, (*at, key))


def _paths(values: Any, schema: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if "properties" not in schema:
        yield at
        return
    for key, inner in values.items():
        yield from _paths(inner, schema["properties"].get(key, {}), (*at, key))


def test_every_value_is_explained_or_stands_below_an_explanation() -> None:
    explained: dict[int, bool] = {}
    comment = False
    for line in (CHART / "values.yaml").read_text().splitlines()[1:]:
        text, depth = line.lstrip(), len(line) - len(line.lstrip())
        if text.startswith("#"):
            comment = True
            continue
        if text and not text.startswith("-"):
            explained[depth] = comment or text in SELF_EVIDENT
            assert any(explained.get(above, False) for above in range(depth + 1)), line
        comment = False


SELF_EVIDENT = {
    "image:", "servers:", "identity:", "certificateAuthority:", "liveness:", "streams:", "logs:", "services:",
    "rbac:", "podDisruptionBudget:", "autoscaling:", "tolerations: []", "affinity: {}",
    'priorityClassName: ""', "podAnnotations: {}", "podLabels: {}",
}  # fmt: skip


def test_names_of_digits_stay_text() -> None:
    digits: Values = {
        "imagePullSecrets": ["1"],
        "placement": {"configMap": {"name": "2", "namespace": "3"}, "singles": ["192.168.50.140"]},
        "liveness": {"leaseNamespace": "4"},
        "dpuCluster": {"kubeconfigSecret": "5", "kubeconfigKey": "6"},
        "priorityClassName": "7",
        "agent": {"enabled": True, "priorityClassName": "9", "podLabels": {"name": "10"}},
        "identity": {"tokenAudience": "11"},
    }
    assert not [value for value in _scalars(rendered(digits, namespace="8")) if value in range(1, 12)]


def _scalars(value: Any, key: str = "") -> Iterator[Any]:
    """Yield what stands under keys that hold names."""
    if isinstance(value, dict):
        for inner, below in value.items():
            yield from _scalars(below, inner)
    elif isinstance(value, list):
        for below in value:
            yield from _scalars(below, key)
    elif key in ("name", "namespace", "resourceNames", "secretName", "key", "priorityClassName", "audience"):
        yield value
