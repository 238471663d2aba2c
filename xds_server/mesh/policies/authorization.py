"""The unit of policy the mesh serves, as the bytes of its Authorization message."""

from collections.abc import Iterable

import msgspec

from xds_server.protobuf.workloadapi.security import authorization_pb2 as security


class AuthorizationRow(msgspec.Struct, frozen=True, gc=False):
    """
    A policy under its resource name, ``namespace/name``.

    ``body`` is the deterministic serialization of ``istio.security.Authorization``.
    """

    name: str
    body: bytes


def authorization_row(message: security.Authorization) -> AuthorizationRow:
    body = message.SerializeToString(deterministic=True)
    return AuthorizationRow(f"{message.namespace}/{message.name}", body)


def workload_policy(
    namespace: str, name: str, action: security.Action, groups: Iterable[security.Group]
) -> AuthorizationRow:
    """Make a policy for the workloads that name it."""
    message = security.Authorization(
        name=name,
        namespace=namespace,
        scope=security.Scope.WORKLOAD_SELECTOR,
        action=action,
        groups=groups,
    )
    return authorization_row(message)
