"""The gRPC server of one port: its limits, health and reflection, and how it stops."""

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from xds_server.exceptions import InputError
from xds_server.protobuf.envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from xds_server.protobuf.envoy.service.discovery.v3 import ads_pb2
from xds_server.protobuf.envoy.service.secret.v3 import sds_pb2
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2
from xds_server.protobuf.security.v1alpha1 import ca_pb2
from xds_server.protobuf.workloadapi import workload_pb2
from xds_server.protobuf.workloadapi.security import authorization_pb2
from xds_server.settings import StreamSettings
from xds_server.transport import certificate_service
from xds_server.transport.ads import SECRET_SERVICE, SERVICE

# Reflection tells of what these imports register: grpcurl prints only resources whose type it knows.
_DESCRIBED = (ads_pb2, ca_pb2, sds_pb2, secret_pb2, workload_pb2, authorization_pb2, node_program_pb2)
_SERVICES = (SERVICE, SECRET_SERVICE, certificate_service.SERVICE)


class GrpcServer:
    """Serves the handlers it is given, health and reflection, on one port."""

    def __init__(self, handlers: Iterable[grpc.GenericRpcHandler], settings: StreamSettings) -> None:
        self._server = grpc.aio.server(options=channel_options(settings))
        self._health = health.aio.HealthServicer()
        self._server.add_generic_rpc_handlers(tuple(handlers))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> str:
        """
        Open the port, with TLS if there are credentials; return its address with the port that was bound.

        Raises:
            InputError: the address cannot be bound.

        """
        await self.set_serving(False)
        host, _, port = address.rpartition(":")
        wanted = f"{host or '[::]'}:{port}"
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(wanted)
            else:
                bound = self._server.add_secure_port(wanted, credentials)
        except RuntimeError:
            flag = "--grpc-address" if credentials is None else "--secure-grpc-address"
            raise InputError(f"{flag} {address}: cannot be bound") from None
        await self._server.start()
        return f"{host or '0.0.0.0'}:{bound}"  # noqa: S104 - tells what the user asked for

    async def start_inside(self, address: str) -> None:
        """Open a socket that only this machine sees, without TLS."""
        await self.set_serving(False)
        self._server.add_insecure_port(address)
        await self._server.start()

    async def set_serving(self, serving: bool) -> None:
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for service in ("", *_SERVICES):
            await self._health.set(service, status)

    async def close(self) -> None:
        """End everything at once; after :meth:`stop` there is nothing left to end."""
        await self._server.stop(None)

    async def stop(self, seconds: float) -> None:
        """Take no new call; end at once when all calls have ended, and after ``seconds`` whatever is left."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(seconds)


def channel_options(settings: StreamSettings) -> list[tuple[str, int]]:
    """
    Return the limits of every connection.

    ztunnel pings an idle stream every 30 s; by default gRPC takes that for abuse after two pings
    and ends the connection (ztunnel facts, 0 #3).
    """
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
        ("grpc.keepalive_time_ms", int(settings.keepalive_seconds * 1_000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout_seconds * 1_000)),
        ("grpc.http2.ping_timeout_ms", int(settings.keepalive_timeout_seconds * 1_000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # The backstop for connections whose streams cannot be ended, because their client reads nothing.
        ("grpc.max_connection_age_ms", int(settings.max_connection_age_seconds * 1_300)),
        ("grpc.max_connection_age_grace_ms", 10_000),
        ("grpc.max_receive_message_length", settings.max_receive_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", 100),
        # Calls that wait to be taken; beyond, gRPC cancels some of them without a word.
        ("grpc.server.max_pending_requests", 10_000),
        ("grpc.server.max_pending_requests_hard_limit", 20_000),
        ("grpc.max_metadata_size", 16 << 10),
    ]
