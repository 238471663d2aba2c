"""How an agent reaches the control plane: TLS and the account's token, both read from disk each time."""

import grpc
import grpc.aio

from xds_server.agent.settings import Discovery
from xds_server.agent.tokens import read_token
from xds_server.exceptions import ClusterError

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

_MOST_BYTES = 64 << 20
# A server that has vanished without a word is noticed within a minute.
_OPTIONS: tuple[tuple[str, str | int], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", _MOST_BYTES),
    # Another replica may be asked by the next stream.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(discovery: Discovery) -> grpc.aio.Channel:
    """
    Return a channel; nothing is sent yet.

    Raises:
        ClusterError: what to trust cannot be read.

    """
    if discovery.insecure:
        return grpc.aio.insecure_channel(discovery.address, options=_OPTIONS)
    try:
        roots = discovery.root_cert.read_bytes()
    except OSError as error:
        raise ClusterError(f"--root-cert {discovery.root_cert}: {error.strerror}") from error
    name = (("grpc.ssl_target_name_override", discovery.server_name),) if discovery.server_name else ()
    credentials = grpc.ssl_channel_credentials(root_certificates=roots)
    return grpc.aio.secure_channel(discovery.address, credentials, options=(*_OPTIONS, *name))


def metadata_of(discovery: Discovery) -> tuple[tuple[str, str], ...]:
    """
    Return what proves whose agent this is; nothing where nobody asks.

    Raises:
        ClusterError: the token cannot be read.

    """
    if discovery.insecure:
        return ()
    try:
        token = read_token(discovery.token)
    except (OSError, ValueError) as error:
        raise ClusterError(f"--token {discovery.token}: {error}") from error
    return (("authorization", f"Bearer {token}"),)
