"""A connection to a Kubernetes API server that outlives its credentials."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import aiohttp
import yaml

from xds_server import __version__
from xds_server.cluster.request import Request, refusal
from xds_server.exceptions import ClusterError

LARGEST_ANSWER = 1 << 20
"""Bytes. Of a longer answer little more is read than this."""

_CONNECT_SECONDS = 10.0
"""For the TLS handshake, too, which would otherwise be waited for for a minute."""
# Of the kernel: a peer that has vanished without a word is noticed although nothing is sent to it.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}

# What the client raises where a file is not what it takes for granted. An SSLError is an OSError.
_LOADING_FAILED = (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)


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

    The client is made at the first call and made anew after a 401 or a failed handshake, so that
    credentials and authorities that were renewed on disk, or by a plugin, come to be used.
    """

    def __init__(self, kubeconfig: str = "", context: str = "", timeout_seconds: float = 10.0) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._client: _Client | None = None
        self._making = asyncio.Lock()

    @property
    def source(self) -> str:
        """Where address and credentials come from, for people."""
        if self._kubeconfig:
            return f"kubeconfig {self._kubeconfig}"
        return "the account of this pod" if is_in_pod() else "the kubeconfig in ~/.kube/config or KUBECONFIG"

    async def ask(self, request: Request, largest: int = LARGEST_ANSWER, seconds: float = 0.0) -> bytes:
        """
        Return the body of an answer of at most ``largest`` bytes, which may take other than the usual time.

        Raises:
            ApiError: the server refused.
            ClusterError: there was no answer, not all of it, or too much.

        """
        code, content = await self.call(request, largest, seconds)
        if not 200 <= code < 300:
            raise refusal(request, code, content)
        if len(content) > largest:
            raise ClusterError(f"{request}: the answer is too long: expected at most {largest} bytes")
        return content

    async def call(
        self, request: Request, largest: int = LARGEST_ANSWER, seconds: float = 0.0
    ) -> tuple[int, bytes]:
        """
        Return code and body; of a body longer than ``largest``, a little more than that.

        Raises:
            ClusterError: there was no answer, or not all of it.

        """
        limits = aiohttp.ClientTimeout(total=seconds) if seconds else self._timeout
        async with self._exchange(request, limits) as response:
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > largest:
                    break
            return response.status, bytes(content)

    @asynccontextmanager
    async def stream(self, request: Request, silence_seconds: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Give the chunks of an answer as they come; one that is silent for ``silence_seconds`` has ended badly.

        Raises:
            ApiError: the server refused.
            ClusterError: there was no answer, or it broke off.

        """
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS, sock_read=silence_seconds)
        async with self._exchange(request, timeout) as response:
            if not 200 <= response.status < 300:
                content = await response.content.read(LARGEST_ANSWER)
                raise refusal(request, response.status, content, response.headers.get("Retry-After", ""))
            _keep_alive(response)
            yield response.content.iter_any()

    async def client(self) -> Any:
        """
        Return the ``kubernetes`` package's own client, for its leader election.

        Raises:
            ClusterError: it cannot be made.

        """
        return (await self._connect()).api

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

    @asynccontextmanager
    async def _exchange(
        self, request: Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; the faults of the answer, also while it is read, are ClusterErrors."""
        client = await self._connect()
        client.calls += 1
        try:
            async with await self._send(client.api, request, limits) as response:
                if response.status == 401:
                    self._retire(client)
                yield response
        except TimeoutError:
            seconds = limits.total or limits.sock_read or 0.0
            raise ClusterError(f"{request}: no answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, client.misconfigured) as error:
            if isinstance(error, aiohttp.ClientSSLError):
                # The server may have a new authority by now, and the client reads that when it is made.
                self._retire(client)
            raise ClusterError(f"{request}: {type(error).__name__}: {error}") from None
        finally:
            client.calls -= 1
            await _close_unused(client)

    async def _send(
        self, client: Any, request: Request, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        # Compression would cost both ends more than the bytes do.
        headers = {
            "Accept": request.accept,
            "Accept-Encoding": "identity",
            "Content-Type": request.content_type,
        }
        method, url, headers, body, _ = await client.param_serialize(
            request.method,
            request.target,
            header_params=headers,
            body=request.body,
            auth_settings=["BearerToken"],
        )
        answer = await client.rest_client.request(
            method, url, headers=headers, body=body, _request_timeout=limits
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _make_client(self) -> _Client:
        # Heavy: a second or more, and many meshes run without it.
        client = await asyncio.to_thread(import_module, "kubernetes.aio.client")
        config = await asyncio.to_thread(import_module, "kubernetes.aio.config")
        configuration = client.Configuration()
        try:
            await self._configure(config, configuration)
            made = client.ApiClient(configuration)
            made.user_agent = f"offmesh/{__version__}"
            return _Client(made, config.ConfigException)
        except (config.ConfigException, *_LOADING_FAILED) as error:
            raise ClusterError(f"{self.source} cannot be used: {error}") from None

    async def _configure(self, config: Any, configuration: Any) -> None:
        if not self._kubeconfig and is_in_pod():
            config.load_incluster_config(client_configuration=configuration)
            return
        await config.load_kube_config(
            config_file=self._kubeconfig or None,
            context=self._context or None,
            client_configuration=configuration,
            persist_config=False,
        )


def is_in_pod() -> bool:
    """Tell whether this process runs in a pod, which has an account of its own."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


async def _close_unused(client: _Client) -> None:
    if client.retired and not client.calls:
        await client.api.close()


def _keep_alive(response: aiohttp.ClientResponse) -> None:
    connection = response.connection
    opened = connection.transport.get_extra_info("socket") if connection and connection.transport else None
    if opened is None:
        return
    for name, value in _KEEPALIVE.items():
        with contextlib.suppress(AttributeError, OSError):  # not every system has every one
            opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
