"""``FetchSecrets``: secrets once, in a unary call."""

import logging

import grpc

from xds_server.catalog.resource import SECRET
from xds_server.catalog.served_type import ServedType
from xds_server.exceptions import DeniedError, OffmeshError, PeerError
from xds_server.identity.caller import Caller
from xds_server.identity.secrets import Secrets
from xds_server.protobuf.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest
from xds_server.transport.ads import SECRET_SERVICE
from xds_server.transport.authentication import Authentication, required
from xds_server.transport.failures import code_of, details_of
from xds_server.transport.stream import Context
from xds_server.transport.wire import decode, read_only_message

_LONGEST_REQUEST = 64 << 10
_MOST_NAMES = 100

log = logging.getLogger(__name__)


class SecretFetch:
    """Answers one request at a time; what a caller may not have fails the whole call."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def handler(self, authentication: Authentication) -> grpc.GenericRpcHandler:
        """Return the gRPC handler of one port."""

        async def fetch(_requests: object, context: Context) -> None:
            try:
                caller = required(await authentication.caller(context))
                payload = await self._fetch(caller, await read_only_message(context, _LONGEST_REQUEST))
            except OffmeshError as error:
                level = logging.DEBUG if isinstance(error, DeniedError) else logging.WARNING
                log.log(level, "FetchSecrets of %s: %s", authentication.address(context), error)
                await context.abort(code_of(error), details_of(error))
            await context.write(payload)

        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "FetchSecrets": grpc.stream_stream_rpc_method_handler(fetch)
        }
        return grpc.method_handlers_generic_handler(SECRET_SERVICE, methods)

    async def _fetch(self, caller: Caller, data: bytes) -> bytes:
        request = decode(DiscoveryRequest, data)
        if request.type_url not in ("", SECRET):
            raise PeerError(f"type {request.type_url[:200]!r}: expected {SECRET}")
        names = dict.fromkeys(request.resource_names)
        if not 0 < len(names) <= _MOST_NAMES:
            raise PeerError(f"{len(names)} resource_names: expected 1 to {_MOST_NAMES}")
        made = ServedType(SECRET)
        made.apply({name: await self._secrets.once(caller, name) for name in names}, 1)
        return made.state().payload
