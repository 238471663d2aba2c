"""What is served: workloads, services and policies, as the messages that clients get."""

from collections.abc import Iterable, Iterator

from xds_server.catalog.lookup import AddressLookup, is_service
from xds_server.catalog.resource import AUTHORIZATION, Resource
from xds_server.debug.json_text import SKIPPED, Json
from xds_server.debug.messages import decoded, proto_json
from xds_server.debug.ordering import in_order
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
    policies = list(served.catalog.of(AUTHORIZATION).resources.values())
    picked = _Picked(question.text("ns"), question.text("name"))
    return {
        "workloads": picked.workloads(addresses),
        "services": picked.services(addresses),
        "policies": picked.policies(policies),
    }


def _of_node(lookup: AddressLookup, node: str) -> list[Address]:
    """Return addresses as they are now: what is told later is of one moment."""
    held = lookup.addresses
    if not node:
        return list(held.values())
    workloads = lookup.served_by(node)
    services = {service for name in workloads for service in held[name].services}
    return [held[name] for name in services.union(workloads) if name in held]


def _name(served: Address | Resource) -> str:
    return served.name


def _namespace_and_name(served: Address | Resource) -> list[str]:
    return served.name.split("/", 1)


class _Picked:
    """Messages as JSON, those in a namespace and with some text in their name."""

    def __init__(self, namespace: str, name: str) -> None:
        self._namespace = namespace
        self._name = name

    def workloads(self, addresses: Iterable[Address]) -> Iterator[object]:
        workloads = (address for address in addresses if not is_service(address))
        for address in in_order(workloads, _name):
            if address is None:
                yield SKIPPED
                continue
            workload = api.Address.FromString(address.body).workload
            yield self._json_of(workload, workload.name)

    def services(self, addresses: Iterable[Address]) -> Iterator[object]:
        services = (address for address in addresses if is_service(address))
        for address in in_order(services, _namespace_and_name):
            if address is None:
                yield SKIPPED
                continue
            service = api.Address.FromString(address.body).service
            yield self._json_of(service, service.name, service.hostname)

    def policies(self, resources: Iterable[Resource]) -> Iterator[object]:
        for resource in in_order(resources, _namespace_and_name):
            policy = decoded(resource) if resource is not None else None
            if isinstance(policy, Authorization):
                yield self._json_of(policy, policy.name)
            else:
                yield SKIPPED

    def _json_of(self, message: api.Workload | api.Service | Authorization, *names: str) -> object:
        in_namespace = not self._namespace or message.namespace == self._namespace
        if in_namespace and any(self._name in name for name in names):
            return proto_json(message)
        return SKIPPED
