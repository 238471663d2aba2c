"""Kubernetes objects for tests, from the YAML a reader knows."""

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from xds_server.objects.kinds import KINDS, object_key
from xds_server.objects.kubernetes import KubernetesObject
from xds_server.store.registry import Registry


def objects(text: str) -> list[tuple[str, KubernetesObject]]:
    """Return key and object of each document; ``apiVersion`` may be left out where the kind tells it."""
    return [_object(document) for document in yaml.safe_load_all(text) if document]


def put(registry: Registry, text: str) -> None:
    """Add or replace the objects of a YAML text in one transaction."""
    with registry.graph.transaction():
        for key, item in objects(text):
            registry.of(type(item)).set(key, item)


def remove(registry: Registry, kind: type[KubernetesObject], key: str) -> None:
    with registry.graph.transaction():
        registry.of(kind).delete(key)


def _object(document: Mapping[str, Any]) -> tuple[str, KubernetesObject]:
    kind = next(kind for (_, name), kind in KINDS.items() if name == document["kind"])
    item = msgspec.convert(document, kind)
    return object_key(kind, item.metadata), item
