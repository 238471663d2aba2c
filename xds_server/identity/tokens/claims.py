"""What a proved token says: an account, and the pod the token was given to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xds_server.exceptions import InputError, UnauthenticatedError
from xds_server.identity.caller import BoundPod
from xds_server.identity.spiffe import parse_account

USER_PREFIX = "system:serviceaccount:"
ACCOUNTS_GROUP = "system:serviceaccounts"
NOT_BOUND = "the token is not bound to a pod: expected a service-account token projected into a pod"
_NOT_AN_ACCOUNT = "the token is no service account's: expected system:serviceaccount:<namespace>:<name>"
_NOT_ACCEPTED = "the cluster does not accept the token: it was not made here, or its pod or account is gone"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_LONGEST_NAME = 253
_UID = re.compile(r"[0-9A-Za-z](?:[-0-9A-Za-z._]{0,126}[0-9A-Za-z])?")


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Names are valid Kubernetes names; ``expires_at`` is in seconds since the epoch."""

    namespace: str
    service_account: str
    pod: BoundPod
    expires_at: float


def claims_of_payload(payload: Mapping[str, Any], expires_at: float) -> TokenClaims:
    """
    Read the claims of a bound service-account token.

    Raises:
        UnauthenticatedError: it is not bound to a pod, names something odd or contradicts itself.

    """
    subject = payload.get("sub")
    bound = _mapping(payload.get("kubernetes.io"), _NOT_AN_ACCOUNT)
    account = _mapping(bound.get("serviceaccount"), _NOT_AN_ACCOUNT)
    pod = _mapping(bound.get("pod"), NOT_BOUND)
    claims = make_claims(
        (bound.get("namespace"), account.get("name")), (pod.get("name"), pod.get("uid")), expires_at
    )
    if subject != f"{USER_PREFIX}{claims.namespace}:{claims.service_account}":
        raise UnauthenticatedError("the token contradicts itself: its subject is not its service account")
    return claims


def claims_of_review(status: Mapping[str, Any], audience: str, expires_at: float) -> TokenClaims:
    """
    Read the status of a TokenReview.

    Raises:
        UnauthenticatedError: the cluster does not accept the token, or not as one bound to a pod.

    """
    # The cluster's own words stay out: they may repeat the token's.
    if status.get("authenticated") is not True or status.get("error"):
        raise UnauthenticatedError(_NOT_ACCEPTED)
    if audience not in _texts(status.get("audiences")):
        raise UnauthenticatedError(f"the token is for another audience: expected {audience!r}")
    user = _mapping(status.get("user"), _NOT_AN_ACCOUNT)
    if ACCOUNTS_GROUP not in _texts(user.get("groups")):
        raise UnauthenticatedError(_NOT_AN_ACCOUNT)
    extra = _mapping(user.get("extra"), NOT_BOUND)
    pod = _only(extra.get(_POD_NAME)), _only(extra.get(_POD_UID))
    return make_claims(_account_of_user(user.get("username")), pod, expires_at)


def make_claims(account: tuple[object, object], pod: tuple[object, object], expires_at: float) -> TokenClaims:
    """
    Check all names; ``account`` is namespace and name, ``pod`` name and UID.

    Raises:
        UnauthenticatedError: one is no name.

    """
    namespace, name = account
    pod_name, uid = pod
    _check_name(namespace, name, "service account")
    key = _check_name(namespace, pod_name, "pod")
    if not isinstance(uid, str) or _UID.fullmatch(uid) is None:
        raise UnauthenticatedError("the token names no pod UID: expected letters, digits and dashes")
    return TokenClaims(str(namespace), str(name), BoundPod(key, uid), expires_at)


def _check_name(namespace: object, name: object, what: str) -> str:
    """Return ``namespace/name``."""
    if isinstance(namespace, str) and isinstance(name, str) and len(name) <= _LONGEST_NAME:
        try:
            return parse_account(f"{namespace}/{name}")
        except InputError:
            pass
    raise UnauthenticatedError(f"the token names no valid {what}: expected Kubernetes names")


def _account_of_user(username: object) -> tuple[str, str]:
    parts = username.split(":") if isinstance(username, str) else []
    if len(parts) != 4 or parts[:2] != ["system", "serviceaccount"]:
        raise UnauthenticatedError(_NOT_AN_ACCOUNT)
    return parts[2], parts[3]


def _mapping(value: object, otherwise: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UnauthenticatedError(otherwise)
    return value


def _texts(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _only(value: object) -> object:
    if not isinstance(value, list) or len(value) != 1:
        raise UnauthenticatedError(NOT_BOUND)
    return value[0]
