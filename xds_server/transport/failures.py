"""Which status a caller is given for which of our errors."""

import grpc

from xds_server.exceptions import (
    DeniedError,
    InputError,
    LimitError,
    OffmeshError,
    PeerError,
    SlowPeerError,
    UnauthenticatedError,
)

_CODES = (
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
    (DeniedError, grpc.StatusCode.PERMISSION_DENIED),
    (LimitError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (SlowPeerError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (PeerError, grpc.StatusCode.INVALID_ARGUMENT),
    # What we were given to work with is not usable; another replica may have better.
    (InputError, grpc.StatusCode.UNAVAILABLE),
)


def code_of(error: OffmeshError) -> grpc.StatusCode:
    """Return the status code of an error."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def details_of(error: OffmeshError) -> str:
    """Return what the caller is told: errors of peers are made for it, others are our own affair."""
    return str(error) if isinstance(error, PeerError) else "the server cannot answer now"
