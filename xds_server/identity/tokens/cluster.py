"""What is asked of a real cluster about tokens, by the Kubernetes client."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import aiohttp
import msgspec
import yaml

from xds_server.exceptions import ClusterError
from xds_server.identity.tokens.cluster_keys import PublishedKeys

_JWKS = "/openid/v1/jwks"
_DISCOVERY = "/.well-known/openid-configuration"
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_LARGEST_ANSWER = 1 << 20
_RIGHTS = {
    _JWKS: "ClusterRole system:service-account-issuer-discovery",
    _DISCOVERY: "ClusterRole system:service-account-issuer-discovery",
    _REVIEWS: "ClusterRole system:auth-delegator (create tokenreviews.authentication.k8s.io)",
}


# What the client raises where a file is not what it takes for granted. An SSLError is an OSError.
_LOADING_FAILED = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)


@dataclass(frozen=True, slots=True)
class Request:
    """A call of the Kubernetes API."""

    method: str
    path: str
    body: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class KubernetesTokens:
    """
    ClusterTokens of the cluster of a kubeconfig, or of the one this process runs in.

    The client is made at the first call and made anew after a 401, so that credentials that were
    renewed on disk come to be used.
    """

    def __init__(self, kubeconfig: str = "", context: str = "", timeout_seconds: float = 5.0) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._client: Any = None
        self._making = asyncio.Lock()

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
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _call(self, request: Request) -> dict[str, Any]:
        client = await self._connect()
        try:
            code, content = await self._exchange(client, request)
        except TimeoutError:
            raise ClusterError(f"{request}: no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            # RuntimeError is the word for a client that another call has closed, having got a 401.
            raise ClusterError(f"{request}: {type(error).__name__}: {error}") from None
        if code == 401 and self._client is client:
            await self.close()
        if not 200 <= code < 300:
            raise ClusterError(f"{request}: {_meaning(request, code)}")
        if len(content) > _LARGEST_ANSWER:
            raise ClusterError(f"{request}: the answer is too long: expected at most {_LARGEST_ANSWER} bytes")
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise ClusterError(f"{request}: the answer is no JSON object") from None

    async def _exchange(self, client: Any, request: Request) -> tuple[int, bytes]:
        """Return code and body, the body read no further than one byte too far."""
        method, url, headers, body, _ = await client.param_serialize(
            request.method,
            request.path,
            header_params={"Accept": "application/json", "Content-Type": "application/json"},
            body=request.body,
            auth_settings=["BearerToken"],
        )
        answer = await client.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=self._timeout
        )
        async with answer.response as response:
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > _LARGEST_ANSWER:
                    break
            return response.status, bytes(content)

    async def _connect(self) -> Any:
        async with self._making:
            if self._client is None:
                self._client = await self._make_client()
            return self._client

    async def _make_client(self) -> Any:
        # Heavy: a second or more, and many meshes run without it.
        client = await asyncio.to_thread(import_module, "kubernetes.aio.client")
        config = await asyncio.to_thread(import_module, "kubernetes.aio.config")
        configuration = client.Configuration()
        try:
            await self._configure(config, configuration)
            return client.ApiClient(configuration)
        except (config.ConfigException, *_LOADING_FAILED) as error:
            source = f"kubeconfig {self._kubeconfig}" if self._kubeconfig else "the account of this pod"
            raise ClusterError(f"{source} cannot be used: {error}") from None

    async def _configure(self, config: Any, configuration: Any) -> None:
        if not self._kubeconfig:
            config.load_incluster_config(client_configuration=configuration)
            return
        await config.load_kube_config(
            config_file=self._kubeconfig,
            context=self._context or None,
            client_configuration=configuration,
            persist_config=False,
        )


def _meaning(request: Request, code: int) -> str:
    if code == 401:
        return "the Kubernetes API does not know this server (401): expected valid credentials"
    if code == 403:
        return f"this server's account lacks the right (403): expected {_RIGHTS[request.path]}"
    if code == 429:
        return "the Kubernetes API has too much to do (429)"
    return f"the Kubernetes API failed ({code})"
