"""
``CreateCertificate``: the call by which ztunnel gets the certificate of a pod it carries.

The request is read only after its caller has proved who it is: until then nothing of it is
decoded. Facts: wds 7.1, ztunnel 3.
"""

import logging

import grpc

from xds_server.exceptions import DeniedError, OffmeshError, PeerError
from xds_server.identity.audit import Audit, Way
from xds_server.identity.caller import Caller
from xds_server.identity.secrets import Rights
from xds_server.identity.signing.signer import Certificate, Signer
from xds_server.identity.spiffe import Identity
from xds_server.protobuf.security.v1alpha1.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from xds_server.transport.authentication import Authentication, required
from xds_server.transport.failures import code_of, details_of
from xds_server.transport.stream import Context
from xds_server.transport.wire import decode, read_only_message

SERVICE = "istio.v1.auth.IstioCertificateService"
_LONGEST_REQUEST = 64 << 10

log = logging.getLogger(__name__)


class CertificateService:
    """Grants, signs and tells of it."""

    def __init__(self, rights: Rights, signer: Signer, audit: Audit) -> None:
        self._rights = rights
        self._signer = signer
        self._audit = audit

    def handler(self, authentication: Authentication) -> grpc.GenericRpcHandler:
        """Return the gRPC handler of one port."""

        async def create(_requests: object, context: Context) -> None:
            try:
                caller = required(await authentication.caller(context))
                data = await read_only_message(context, _LONGEST_REQUEST)
                certificate = await self._create(caller, data, context.time_remaining())
            except OffmeshError as error:
                log.log(_level(error), "CreateCertificate of %s: %s", authentication.address(context), error)
                await context.abort(code_of(error), details_of(error))
            response = IstioCertificateResponse(cert_chain=certificate.chain)
            await context.write(response.SerializeToString())

        # A unary call on the wire; as a stream here, so that the caller is known before the message is read.
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "CreateCertificate": grpc.stream_stream_rpc_method_handler(create)
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _create(self, caller: Caller, data: bytes, seconds: float | None) -> Certificate:
        request = decode(IstioCertificateRequest, data)
        fields = request.metadata.fields
        if "CertSigner" in fields:
            raise PeerError("metadata CertSigner: this mesh has one signer and offers no choice")
        if not request.csr:
            raise PeerError("csr is empty: expected a PEM of PKCS #10")
        wanted = fields["ImpersonatedIdentity"].string_value if "ImpersonatedIdentity" in fields else ""
        identity = self._authorize(caller, wanted or str(caller.identity))
        within = {} if seconds is None else {"within": seconds}
        certificate = await self._signer.sign(
            caller.key, identity, request.csr, request.validity_duration, **within
        )
        self._audit.granted(Way.CERTIFICATE, caller, certificate)
        return certificate

    def _authorize(self, caller: Caller, wanted: str) -> Identity:
        try:
            return self._rights.authorize(caller, wanted)
        except DeniedError as error:
            self._audit.denied(Way.CERTIFICATE, caller, wanted, str(error))
            raise


def _level(error: OffmeshError) -> int:
    """A denial is in the audit log already, with its caller."""
    return logging.DEBUG if isinstance(error, DeniedError) else logging.WARNING
