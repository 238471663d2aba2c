"""Everything a mesh has derived for clients, as they would get it: proto3 JSON by type and resource name."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from xds_server.catalog.resource import ADDRESS, AUTHORIZATION
from xds_server.debug.messages import proto_json
from xds_server.mesh.graph import Mesh
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Authorization
from xds_server.protobuf.workloadapi.workload_pb2 import Address
from xds_server.store.collection import AnyCollection

Rendered = dict[str, dict[str, Any]]
"""Resource name -> message, for each type URL."""


def rendered(mesh: Mesh) -> Rendered:
    return {
        ADDRESS: _messages(Address, mesh.addresses),
        AUTHORIZATION: _messages(Authorization, mesh.authorizations),
    }


def _messages(kind: type[Message], collections: Iterable[AnyCollection]) -> dict[str, Any]:
    return {
        row.name: proto_json(kind.FromString(row.body))
        for collection in collections
        for _, row in collection.items()
    }
