"""
The secure port, in one of two ways.

With client certificates allowed, TLS is made before gRPC (``tls_front``); without, by gRPC itself,
which costs a little less for each message.
"""

from collections.abc import Callable, Sequence

import grpc

from xds_server.addresses import bound_address, join_address, listen
from xds_server.identity.authenticator import Authenticator
from xds_server.identity.server_certificate import ServerCertificate
from xds_server.settings import StreamSettings
from xds_server.transport.authentication import Authentication, ProofRequired
from xds_server.transport.credentials import server_credentials
from xds_server.transport.server import GrpcServer
from xds_server.transport.tls_front import Connection, TlsFront

FLAG = "--secure-grpc-address"
Handlers = Callable[[Authentication], Sequence[grpc.GenericRpcHandler]]


class SecurePort:
    """The gRPC server of the secure port, and what stands before it."""

    def __init__(self, authenticator: Authenticator, settings: StreamSettings, handlers: Handlers) -> None:
        self._front: TlsFront | None = None
        proof = ProofRequired(authenticator, self._connection)
        self.server = GrpcServer(handlers(proof), settings)

    async def start(self, address: str, certificate: ServerCertificate) -> str:
        """
        Open the port to clients without certificates; return its address with the port that was bound.

        Raises:
            InputError: the address cannot be bound, or the authority cannot sign.

        """
        return await self.server.start(address, server_credentials(certificate))

    async def start_front(
        self, address: str, certificate: ServerCertificate, trust_bundle: Callable[[], str]
    ) -> str:
        """
        Open the port to clients with and without certificates; return its address.

        Raises:
            InputError: the address cannot be bound, or the authority cannot sign.

        """
        listening = await listen(address, FLAG)
        self._front = TlsFront(certificate, trust_bundle)
        await self.server.start_inside(self._front.inner)
        self._front.start(listening)
        return join_address(*bound_address(listening))

    async def close(self) -> None:
        """End everything at once."""
        await self.server.close()
        if self._front is not None:
            await self._front.close()

    def _connection(self, peer: str) -> Connection:
        return self._front.connection(peer) if self._front is not None else Connection(peer)
