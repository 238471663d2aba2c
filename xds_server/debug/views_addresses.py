"""What is served: workloads, services and policies, as the messages that clients get."""

from collections.abc import Iterable, Iterator

from xds_server.catalog.lookup import AddressLookup, is_service
from xds_server.catalog.resource import AUTHORIZATION, Resource
from xds_server.debug.json_text import SKIPPED, Json
from xds_server.debug.messages import decoded, proto_json
from xds_server.debug.question import Question
from xds_server.debug.served import Served
from xds_server.mesh.address import Address
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Authorization


def ambientz(served: Served, question: Question) -> Json:
    """
    Tell everything served, or the part that a node, a namespace or a piece of a name picks.

    A node picks the workloads it serves and the services they belong to: what is told is whole in
    itself. Policies go to every node, so a node picks them all.
    """
    addresses = _of_node(served.catalog.lookup, question.text("node"))
    workloads = sorted((item for item in addresses if not is_service(item)), key=_name)
    services = sorted((item for item in addresses if is_service(item)), key=_name)
    policies = sorted(served.catalog.of(AUTHORIZATION).resources.items())
    picked = _Picked(question.text("ns"), question.text("name"))
    return {
        "workloads": picked.workloads(workloads),
        "services": picked.services(services),
        "policies": picked.policies(resource for _, resource in policies),
    }


def _of_node(lookup: AddressLookup, node: str) -> list[Address]:
    """Return addresses as they are now: what is told later is of one moment."""
    if not node:
        return list(lookup.addresses.values())
    workloads = [lookup.addresses[name] for name in lookup.served_by(node)]
    services = {name for workload in workloads for name in workload.services}
    return workloads + [lookup.addresses[name] for name in services if name in lookup.addresses]


def _name(address: Address) -> str:
    return address.name


class _Picked:
    """Messages as JSON, those in a namespace and with some text in their name."""

    def __init__(self, namespace: str, name: str) -> None:
        self._namespace = namespace
        self._name = name

    def workloads(self, addresses: Iterable[Address]) -> Iterator[object]:
        for address in addresses:
            workload = api.Address.FromString(address.body).workload
            yield self._json_of(workload, workload.name)

    def services(self, addresses: Iterable[Address]) -> Iterator[object]:
        for address in addresses:
            service = api.Address.FromString(address.body).service
            yield self._json_of(service, service.name, service.hostname)

    def policies(self, resources: Iterable[Resource]) -> Iterator[object]:
        for resource in resources:
            policy = decoded(resource)
            if isinstance(policy, Authorization):
                yield self._json_of(policy, policy.name)

    def _json_of(self, message: api.Workload | api.Service | Authorization, *names: str) -> object:
        in_namespace = not self._namespace or message.namespace == self._namespace
        if in_namespace and any(self._name in name for name in names):
            return proto_json(message)
        return SKIPPED
