"""What is asked of a real cluster about tokens, by the Kubernetes client."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from xds_server.exceptions import ClusterError
from xds_server.identity.tokens.cluster_keys import PublishedKeys
from xds_server.identity.tokens.connection import LARGEST_ANSWER, ApiConnection, Request

_JWKS = "/openid/v1/jwks"
_DISCOVERY = "/.well-known/openid-configuration"
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_RIGHTS = {
    _JWKS: "ClusterRole system:service-account-issuer-discovery",
    _DISCOVERY: "ClusterRole system:service-account-issuer-discovery",
    _REVIEWS: "ClusterRole system:auth-delegator (create tokenreviews.authentication.k8s.io)",
}


class KubernetesTokens:
    """ClusterTokens of the cluster of a kubeconfig, or of the one this process runs in."""

    def __init__(self, kubeconfig: str = "", context: str = "", timeout_seconds: float = 5.0) -> None:
        self._connection = ApiConnection(kubeconfig, context, timeout_seconds)

    async def keys(self) -> PublishedKeys:
        """
        Return the published keys and the name of their issuer.

        Raises:
            ClusterError: they cannot be had; the message says what was asked.

        """
        issuer = (await self._call(Request("GET", _DISCOVERY))).get("issuer")
        if not isinstance(issuer, str):
            raise ClusterError(f"GET {_DISCOVERY}: the answer names no issuer")
        return PublishedKeys(await self._call(Request("GET", _JWKS)), issuer)

    async def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any]:
        """
        Return the status of a TokenReview.

        Raises:
            ClusterError: the cluster could not be asked; the message says what was asked, not the token.

        """
        spec = {"token": token, "audiences": list(audiences)}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        request = Request("POST", _REVIEWS, body)
        status = (await self._call(request)).get("status")
        if not isinstance(status, dict):
            raise ClusterError(f"{request}: the answer has no status")
        return status

    async def close(self) -> None:
        await self._connection.close()

    async def _call(self, request: Request) -> dict[str, Any]:
        code, content = await self._connection.call(request)
        if not 200 <= code < 300:
            raise ClusterError(f"{request}: {_meaning(request, code)}")
        if len(content) > LARGEST_ANSWER:
            raise ClusterError(f"{request}: the answer is too long: expected at most {LARGEST_ANSWER} bytes")
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise ClusterError(f"{request}: the answer is no JSON object") from None


def _meaning(request: Request, code: int) -> str:
    if code == 401:
        return "the Kubernetes API does not know this server (401): expected valid credentials"
    if code == 403:
        return f"this server's account lacks the right (403): expected {_RIGHTS[request.path]}"
    if code == 429:
        return "the Kubernetes API has too much to do (429)"
    return f"the Kubernetes API failed ({code})"
