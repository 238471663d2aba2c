"""TLS of the secure port: TLS 1.2 and 1.3, h2, a certificate that is renewed while it serves."""

import logging
from collections.abc import Callable
from typing import cast

import grpc

from xds_server.exceptions import InputError, LocalError
from xds_server.identity.server_certificate import ServedPair, ServerCertificate

log = logging.getLogger(__name__)


def server_credentials(certificate: ServerCertificate) -> grpc.ServerCredentials:
    """
    Return credentials that look for a newer certificate at every handshake.

    Raises:
        InputError: the authority cannot sign the first one.

    """
    first = certificate.newer()
    if first is None:
        raise LocalError("a server certificate was taken by somebody else")

    def newer() -> grpc.ServerCertificateConfiguration | None:
        try:
            pair = certificate.newer()
        except InputError as error:
            log.error("the secure port keeps its certificate: %s", error)
            return None
        return _configuration(pair) if pair is not None else None

    # None tells gRPC to go on with what it has; the type stubs do not know that.
    fetcher = cast("Callable[[], grpc.ServerCertificateConfiguration]", newer)
    return grpc.dynamic_ssl_server_credentials(_configuration(first), fetcher)


def _configuration(pair: ServedPair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key.encode(), pair.chain.encode())])
