"""
``CreateCertificate``: the call by which ztunnel gets the certificate of a pod it carries.

The request is read only after its caller has proved who it is: until then nothing of it is
decoded. Facts: wds 7.1, ztunnel 3.
"""

import grpc

from xds_server.exceptions import DeniedError, PeerError
from xds_server.identity.audit import Audit, Way
from xds_server.identity.authorization import Rights
from xds_server.identity.caller import Caller
from xds_server.identity.signing.signer import Signer
from xds_server.identity.spiffe import Identity
from xds_server.protobuf.security.v1alpha1.ca_pb2 import IstioCertificateRequest, IstioCertificateResponse
from xds_server.transport.authentication import Authentication
from xds_server.transport.unary import unary_handler
from xds_server.transport.wire import decode

SERVICE = "istio.v1.auth.IstioCertificateService"


class CertificateService:
    """Grants, signs and tells of it."""

    def __init__(self, rights: Rights, signer: Signer, audit: Audit) -> None:
        self._rights = rights
        self._signer = signer
        self._audit = audit

    def handler(self, authentication: Authentication) -> grpc.GenericRpcHandler:
        """Return the gRPC handler of one port."""
        return unary_handler(SERVICE, "CreateCertificate", authentication, self._create)

    async def _create(self, caller: Caller, data: bytes, seconds: float | None) -> bytes:
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
        return IstioCertificateResponse(cert_chain=certificate.chain).SerializeToString()

    def _authorize(self, caller: Caller, wanted: str) -> Identity:
        try:
            return self._rights.authorize(caller, wanted)
        except DeniedError as error:
            self._audit.denied(Way.CERTIFICATE, caller, wanted, str(error))
            raise
