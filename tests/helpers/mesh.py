"""A mesh with the settings of the conformance cases, and its addresses as readable JSON."""

from typing import Any

from google.protobuf.json_format import MessageToDict

from tests.helpers.objects import put
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings

SETTINGS = MeshSettings(cluster_id="cluster0", network="testnetwork", domain_suffix="company.com")


class MeshUnderTest:
    """Feed it YAML; read addresses by resource name."""

    def __init__(self, *texts: str, settings: MeshSettings = SETTINGS, two_clusters: bool = False) -> None:
        self.registry = new_registry()
        self.mesh = Mesh(self.registry, settings, two_clusters=two_clusters)
        for text in texts:
            put(self.registry, text)

    def messages(self) -> dict[str, api.Address]:
        return {
            row.name: api.Address.FromString(row.body)
            for collection in self.mesh.addresses
            for _, row in collection.items()
        }

    def aliases(self, name: str) -> tuple[str, ...]:
        (row,) = (
            row for collection in self.mesh.addresses for _, row in collection.items() if row.name == name
        )
        return row.aliases

    def workload(self, name: str) -> api.Workload:
        return self.messages()[name].workload

    def service(self, name: str) -> api.Service:
        return self.messages()[name].service

    def ports(self, workload: str) -> dict[str, list[tuple[int, int]]]:
        """Service name -> (service port, target port) pairs of a workload."""
        return {
            service: [(port.service_port, port.target_port) for port in ports.ports]
            for service, ports in sorted(self.workload(workload).services.items())
        }


def as_json(message: api.Workload | api.Service) -> dict[str, Any]:
    """Proto3 JSON with the field names of the .proto files; addresses stay base64."""
    return MessageToDict(message, preserving_proto_field_name=True)
