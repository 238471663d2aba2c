"""``FetchSecrets``: secrets once, in a unary call."""

import grpc

from xds_server.catalog.resource import SECRET
from xds_server.catalog.served_type import ServedType
from xds_server.exceptions import PeerError
from xds_server.identity.caller import Caller
from xds_server.identity.secrets import Secrets
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from xds_server.transport.ads import SECRET_SERVICE
from xds_server.transport.authentication import Authentication
from xds_server.transport.unary import unary_handler
from xds_server.transport.wire import decode

_MOST_NAMES = 100


class SecretFetch:
    """Answers one request at a time; what a caller may not have fails the whole call."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def handler(self, authentication: Authentication) -> grpc.GenericRpcHandler:
        """Return the gRPC handler of one port."""
        return unary_handler(SECRET_SERVICE, "FetchSecrets", authentication, self._fetch)

    async def _fetch(self, caller: Caller, data: bytes, _seconds: float | None) -> bytes:
        request = decode(DiscoveryRequest, data)
        if request.type_url not in ("", SECRET):
            raise PeerError(f"type {request.type_url[:200]!r}: expected {SECRET}")
        names = dict.fromkeys(request.resource_names)
        if not 0 < len(names) <= _MOST_NAMES:
            raise PeerError(f"{len(names)} resource_names: expected 1 to {_MOST_NAMES}")
        made = ServedType(SECRET)
        made.apply({name: await self._secrets.once(caller, name) for name in names}, 1)
        return made.state().payload
