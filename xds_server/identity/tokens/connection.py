"""A connection to a Kubernetes API server that outlives its credentials."""

import asyncio
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import aiohttp
import yaml

from xds_server.exceptions import ClusterError

LARGEST_ANSWER = 1 << 20
"""Bytes. Of a longer answer little more is read than this."""

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


@dataclass(slots=True)
class _Client:
    """An API client and the calls it carries; once retired, the last of them closes it."""

    api: Any
    misconfigured: type[Exception]
    """What it raises when credentials cannot be read, which it does before any call."""
    calls: int = 0
    retired: bool = False


class ApiConnection:
    """
    Calls of one API server.

    The client is made at the first call and made anew after a 401, so that credentials that were
    renewed on disk come to be used.
    """

    def __init__(self, kubeconfig: str, context: str, timeout_seconds: float) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._client: _Client | None = None
        self._making = asyncio.Lock()

    async def call(self, request: Request) -> tuple[int, bytes]:
        """
        Return code and body.

        Raises:
            ClusterError: there was no answer, or not all of it.

        """
        client = await self._connect()
        client.calls += 1
        try:
            code, content = await self._exchange(client.api, request)
            if code == 401:
                self._retire(client)
            return code, content
        except TimeoutError:
            raise ClusterError(f"{request}: no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, OSError, client.misconfigured) as error:
            raise ClusterError(f"{request}: {type(error).__name__}: {error}") from None
        finally:
            client.calls -= 1
            await _close_unused(client)

    async def close(self) -> None:
        """Let go of the server; calls under way still get their answers."""
        if self._client is not None:
            client = self._client
            self._retire(client)
            await _close_unused(client)

    def _retire(self, client: _Client) -> None:
        client.retired = True
        if self._client is client:
            self._client = None

    async def _connect(self) -> _Client:
        async with self._making:
            if self._client is None:
                self._client = await self._make_client()
            return self._client

    async def _exchange(self, client: Any, request: Request) -> tuple[int, bytes]:
        """Return code and body; of a body that is too long, enough to show it."""
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
                if len(content) > LARGEST_ANSWER:
                    break
            return response.status, bytes(content)

    async def _make_client(self) -> _Client:
        # Heavy: a second or more, and many meshes run without it.
        client = await asyncio.to_thread(import_module, "kubernetes.aio.client")
        config = await asyncio.to_thread(import_module, "kubernetes.aio.config")
        configuration = client.Configuration()
        try:
            await self._configure(config, configuration)
            return _Client(client.ApiClient(configuration), config.ConfigException)
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


async def _close_unused(client: _Client) -> None:
    if client.retired and not client.calls:
        await client.api.close()
