"""What is asked of a real cluster about tokens, by the Kubernetes client."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xds_server.cluster.connection import LARGEST_ANSWER, ApiConnection
from xds_server.cluster.request import Request, refusal
from xds_server.exceptions import ClusterError
from xds_server.identity.tokens.cluster_keys import PublishedKeys

_JWKS = "/openid/v1/jwks"
# The API server answers with this type alone, and 406 to whoever accepts only JSON.
_KEY_SET = "application/jwk-set+json"
_DISCOVERY = "/.well-known/openid-configuration"
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_ISSUER_RIGHT = "ClusterRole system:service-account-issuer-discovery"
_REVIEW_RIGHT = "ClusterRole system:auth-delegator (create tokenreviews.authentication.k8s.io)"


class KubernetesTokens:
    """ClusterTokens of the cluster behind a connection, which its owner closes."""

    def __init__(self, connection: ApiConnection) -> None:
        self._connection = connection

    async def keys(self) -> PublishedKeys:
        """
        Return the published keys and the name of their issuer.

        Raises:
            ClusterError: they cannot be had; the message says what was asked.

        """
        issuer = (await self._call(Request("GET", _DISCOVERY, right=_ISSUER_RIGHT))).get("issuer")
        if not isinstance(issuer, str):
            raise ClusterError(f"GET {_DISCOVERY}: the answer names no issuer")
        request = Request("GET", _JWKS, accept=_KEY_SET, right=_ISSUER_RIGHT)
        return PublishedKeys(await self._call(request), issuer)

    async def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any]:
        """
        Return the status of a TokenReview.

        Raises:
            ClusterError: the cluster could not be asked; the message says what was asked, not the token.

        """
        spec = {"token": token, "audiences": list(audiences)}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        request = Request("POST", _REVIEWS, body, right=_REVIEW_RIGHT)
        status = (await self._call(request)).get("status")
        if not isinstance(status, dict):
            raise ClusterError(f"{request}: the answer has no status")
        return status

    async def _call(self, request: Request) -> dict[str, Any]:
        code, content = await self._connection.call(request)
        if not 200 <= code < 300:
            # Without the server's own words, which may repeat the token's.
            raise refusal(request, code)
        if len(content) > LARGEST_ANSWER:
            raise ClusterError(f"{request}: the answer is too long: expected at most {LARGEST_ANSWER} bytes")
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise ClusterError(f"{request}: the answer is no JSON object") from None
