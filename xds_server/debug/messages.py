"""Served bytes back to messages, as readers know them: proto3 JSON."""

from typing import Any

from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from xds_server.catalog.catalog import Catalog
from xds_server.catalog.resource import PREFIX, SECRET, Resource
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse

# A message is found by its type's name among those that are imported; these are the ones served.
from xds_server.protobuf.workloadapi import workload_pb2
from xds_server.protobuf.workloadapi.security import authorization_pb2

SERVED = (workload_pb2.DESCRIPTOR, authorization_pb2.DESCRIPTOR)
UNKNOWN = "unknown"


def decoded(resource: Resource) -> Message:
    """Return the message of a resource: its frame is one entry of a state-of-the-world response."""
    (packed,) = DiscoveryResponse.FromString(resource.packed).resources
    kind = GetMessageClass(Default().FindMessageTypeByName(packed.type_url.removeprefix(PREFIX)))
    return kind.FromString(packed.value)


def proto_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message)


def short_name(url: str) -> str:
    """``Address`` of ``type.googleapis.com/istio.workload.Address``."""
    return url.rpartition(".")[2]


def type_label(catalog: Catalog, url: str) -> str:
    """Return the short name of a served type; what a client made up is all one, so labels are bounded."""
    return short_name(url) if catalog.serves(url) or url == SECRET else UNKNOWN
