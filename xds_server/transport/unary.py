"""Unary calls of callers that must prove who they are."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from xds_server.exceptions import DeniedError, OffmeshError, PeerError
from xds_server.identity.caller import Caller
from xds_server.transport.authentication import Authentication, required
from xds_server.transport.failures import code_of, details_of
from xds_server.transport.stream import Context

_LONGEST_REQUEST = 64 << 10

Answer = Callable[[Caller, bytes, float | None], Awaitable[bytes]]
"""Makes the response to a request; the last argument is how long the caller waits, in seconds."""

log = logging.getLogger(__name__)


def unary_handler(
    service: str, method: str, authentication: Authentication, answer: Answer
) -> grpc.GenericRpcHandler:
    """Return the gRPC handler of one method on one port."""

    async def call(_requests: object, context: Context) -> None:
        try:
            caller = required(await authentication.caller(context))
            data = await _read_only_message(context)
            response = await answer(caller, data, context.time_remaining())
        except OffmeshError as error:
            # A denial is in the audit log already, with its caller.
            level = logging.DEBUG if isinstance(error, DeniedError) else logging.WARNING
            log.log(level, "%s of %s: %s", method, authentication.address(context), error)
            await context.abort(code_of(error), details_of(error))
        await context.write(response)

    # A unary call on the wire; as a stream here, so that the caller is known before the message is read.
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        method: grpc.stream_stream_rpc_method_handler(call)
    }
    return grpc.method_handlers_generic_handler(service, methods)


async def _read_only_message(context: Context) -> bytes:
    """
    Read the one request of a unary call, and its end: a call that is answered before is reset by gRPC.

    Raises:
        PeerError: there is none, there are more, or it is too long.

    """
    data: Any = await context.read()
    if data is grpc.aio.EOF:
        raise PeerError("the call has no request")
    following: Any = await context.read()
    if following is not grpc.aio.EOF:
        raise PeerError("the call has more than one request")
    if len(data) > _LONGEST_REQUEST:
        raise PeerError(f"a request of {len(data)} bytes: expected at most {_LONGEST_REQUEST}")
    return bytes(data)
