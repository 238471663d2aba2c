"""Responses as two decoders see them: ours, generated from our own protos, and an independent one."""

import warnings
from typing import NamedTuple

from xds_server.protobuf.envoy.service.discovery.v3 import discovery_pb2 as xds

with warnings.catch_warnings():
    # Its classes declare validators in a way that newer versions of pydantic warn about.
    warnings.simplefilter("ignore")
    from envoy_data_plane.envoy.service.discovery.v3 import (
        DeltaDiscoveryResponse as IndependentDeltaResponse,
    )
    from envoy_data_plane.envoy.service.discovery.v3 import (
        DiscoveryResponse as IndependentResponse,
    )
    from envoy_data_plane.envoy.service.discovery.v3 import (
        Resource as IndependentResource,
    )


class Entry(NamedTuple):
    """One resource as received."""

    name: str
    version: str
    type_url: str
    body: bytes
    aliases: tuple[str, ...]


class Received(NamedTuple):
    """A response of either variant; what a variant does not have is empty."""

    type_url: str
    version: str
    nonce: str
    entries: list[Entry]
    removed: list[str]

    @property
    def names(self) -> list[str]:
        return sorted(entry.name for entry in self.entries)


def read_delta(payload: bytes) -> Received:
    message = xds.DeltaDiscoveryResponse.FromString(payload)
    entries = [
        Entry(item.name, item.version, item.resource.type_url, item.resource.value, tuple(item.aliases))
        for item in message.resources
    ]
    removed = list(message.removed_resources)
    return Received(message.type_url, message.system_version_info, message.nonce, entries, removed)


def read_delta_independently(payload: bytes) -> Received:
    message = IndependentDeltaResponse.parse(payload)
    entries = [_independent_entry(item) for item in message.resources]
    removed = list(message.removed_resources)
    return Received(message.type_url, message.system_version_info, message.nonce, entries, removed)


def _independent_entry(item: IndependentResource) -> Entry:
    assert item.resource is not None
    return Entry(item.name, item.version, item.resource.type_url, item.resource.value, tuple(item.aliases))


def read_state(payload: bytes) -> Received:
    message = xds.DiscoveryResponse.FromString(payload)
    entries = [Entry("", "", item.type_url, item.value, ()) for item in message.resources]
    return Received(message.type_url, message.version_info, message.nonce, entries, [])


def read_state_independently(payload: bytes) -> Received:
    message = IndependentResponse.parse(payload)
    entries = [Entry("", "", item.type_url, item.value, ()) for item in message.resources]
    return Received(message.type_url, message.version_info, message.nonce, entries, [])
