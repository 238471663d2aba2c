"""One resource as it is sent, and the names of the types served."""

import msgspec

from xds_server.catalog.encode import any_entry, content_version, resource_entry, text_field

PREFIX = "type.googleapis.com/"
ADDRESS = PREFIX + "istio.workload.Address"
WORKLOAD = PREFIX + "istio.workload.Workload"
AUTHORIZATION = PREFIX + "istio.security.Authorization"
NODE_PROGRAM = PREFIX + "offmesh.datapath.v1.NodeProgram"
POD_RANGES = PREFIX + "offmesh.datapath.v1.PodRanges"
SECRET = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"


class Resource(msgspec.Struct, frozen=True, gc=False):
    """
    A resource under its name: ``version`` is the digest of its body.

    ``entry`` is the encoded element of a delta response; its tail from ``packed_at`` is the
    element of a state-of-the-world response.
    """

    name: str
    version: str
    entry: bytes
    packed_at: int

    @property
    def packed(self) -> bytes:
        return self.entry[self.packed_at :]

    def entry_with_aliases(self, aliases: tuple[str, ...]) -> bytes:
        return resource_entry(self.name, self.version, self.packed, aliases)


class ResourceType:
    """A type URL, with the part of every frame that depends on it alone."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._url_field = text_field(1, url)

    def frame(self, name: str, body: bytes) -> Resource:
        packed = any_entry(self._url_field, body)
        version = content_version(body)
        entry = resource_entry(name, version, packed)
        return Resource(name, version, entry, len(entry) - len(packed))
