"""
What workloads need of a service to belong to it, whichever kind of object describes it.

Rules: facts wds, 2.4. Services and hosts of ServiceEntries are one collection, so that a workload
looks up each of its labels once for both.
"""

import sys
from collections.abc import Iterator, Mapping

import msgspec

from xds_server.mesh.service_ports import TargetPort
from xds_server.store.collection import Collection, Index
from xds_server.store.derive import Fetch
from xds_server.store.graph import Graph
from xds_server.store.joined import Joined


class ServiceTarget(msgspec.Struct, frozen=True, gc=False):
    """Who belongs to a service, and with which ports; ``is_entry`` where a ServiceEntry describes it."""

    resource_name: str
    selector: dict[str, str]
    ports: tuple[TargetPort, ...]
    is_entry: bool = False


class Targets:
    """All of them, found by the labels they select."""

    def __init__(
        self, graph: Graph, services: Collection[ServiceTarget], entries: Collection[ServiceTarget]
    ) -> None:
        rows = Joined(graph, "selecting services", services, entries)
        self._by_label = Index(rows, "selector label", selector_group)

    def selecting(self, fetch: Fetch, namespace: str, labels: Mapping[str, str]) -> Iterator[ServiceTarget]:
        """Yield the services whose selector is a subset of the labels; without a selector none are."""
        for name, value in labels.items():
            for target in fetch.group(self._by_label, label_group(namespace, name, value)):
                if target.selector.items() <= labels.items():
                    yield target


def label_group(namespace: str, name: str, value: str) -> str:
    """Name what asks for a label; interned, for all who carry the label keep it among what they have read."""
    return sys.intern(f"{namespace}/{name}={value}")


def selector_group(target: ServiceTarget) -> tuple[str, ...]:
    """
    Group a service under one label of its selector.

    A workload looks under each of its labels and checks the rest of the selector itself, so a changed
    service reruns only the workloads that carry this label. The longest text is most often the rarest.
    """
    if not target.selector:
        return ()
    namespace = target.resource_name.partition("/")[0]
    name, value = max(target.selector.items(), key=lambda item: (len(item[0]) + len(item[1]), item))
    return (label_group(namespace, name, value),)
