"""A real kube-apiserver with a real etcd: started, asked, stopped, frozen and started again."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml

from tests.helpers.cluster_authority import write_certificates
from tests.helpers.cluster_client import ADMIN, ISSUER, ClusterClient, RefusedError, default_account
from tests.helpers.programs import free_ports, kill, says, start, tool

DEBIAN_ETCD = "debian-etcd"
"""Too old for streamed lists: an API server on it can only be read by pages."""
_READY_SECONDS = 60.0


class ApiServer(ClusterClient):
    """
    One cluster without controllers: what a test does not make is not there.

    A pod is bound to a node by its ``spec.nodeName``, and runs when its status says so.
    """

    def __init__(self, folder: Path, etcd: str = "etcd") -> None:
        self.folder = folder
        self._etcd_program = tool(etcd)
        self._program = tool("kube-apiserver")
        self._etcd_port, self._etcd_peer_port, self.port = free_ports(3)
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        super().__init__(f"https://127.0.0.1:{self.port}", folder / "ca.pem")

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._etcd_port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The API server."""
        assert self._server is not None
        return self._server

    async def start(self) -> None:
        await asyncio.to_thread(write_certificates, self.folder)
        (self.folder / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
        client, peer = self.etcd_url, f"http://127.0.0.1:{self._etcd_peer_port}"
        arguments = ["--data-dir", str(self.folder / "etcd"), "--listen-client-urls", client]
        arguments += ["--advertise-client-urls", client, "--listen-peer-urls", peer]
        arguments += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]
        if await asyncio.to_thread(says, [self._etcd_program, "--help"], b"--unsafe-no-fsync"):
            arguments.append("--unsafe-no-fsync")
        self._etcd = start(self.folder / "etcd.log", self._etcd_program, *arguments)
        await self.start_server()
        await self.apply(default_account("default"))

    async def start_server(self) -> None:
        """Start the API server and wait until it is ready."""
        log, flags = self.folder / "apiserver.log", self._flags()
        self._server = start(log, self._program, *(f"--{name}={value}" for name, value in flags.items()))
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._is_ready():
                    if self._server.poll() is not None:
                        raise RuntimeError(f"the API server ended: {log.read_text()[-2000:]}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise RuntimeError(f"the API server is not ready: {log.read_text()[-2000:]}") from None

    async def stop_server(self) -> None:
        """Kill the API server; what is stored stays."""
        await kill(self._server)
        await self.close()

    async def restart(self, seconds_down: float = 0.0) -> None:
        await self.stop_server()
        await asyncio.sleep(seconds_down)
        await self.start_server()

    def pause(self) -> None:
        """Freeze the API server: its connections stay and nothing moves."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        await self.stop_server()
        await kill(self._etcd)

    def kubeconfig(self, path: Path, token: str = ADMIN, server: str = "") -> Path:
        """Write a kubeconfig, into a folder by that name; ``server`` may lead through a proxy."""
        cluster = {"server": server or self.url, "certificate-authority": str(self.ca_path)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path = path / "kubeconfig" if path.is_dir() else path
        path.write_text(yaml.safe_dump(content))
        return path

    async def kubeconfig_of_account(self, path: Path, namespace: str, account: str, server: str = "") -> Path:
        """Write a kubeconfig of a service account, which may do what RBAC grants it."""
        return self.kubeconfig(path, await self.token(namespace, account), server)

    def _flags(self) -> dict[str, object]:
        at = self.folder
        return {
            "etcd-servers": self.etcd_url,
            "bind-address": "127.0.0.1",
            "secure-port": self.port,
            "tls-cert-file": at / "tls.pem",
            "tls-private-key-file": at / "tls.key",
            "token-auth-file": at / "tokens.csv",
            "service-account-issuer": ISSUER,
            "service-account-key-file": at / "sa.key",
            "service-account-signing-key-file": at / "sa.key",
            "api-audiences": ISSUER,
            "authorization-mode": "RBAC",
            "service-cluster-ip-range": "10.96.0.0/16,fd00:96::/112",
            "disable-admission-plugins": "ServiceAccount",
            "storage-media-type": "application/json",
            "shutdown-delay-duration": "0s",
        }

    async def _is_ready(self) -> bool:
        """Tell whether it says so and has made its first namespace, which it does in its own time."""
        try:
            await self.request("GET", "/readyz")
            await self.request("GET", "/api/v1/namespaces/default")
        except (aiohttp.ClientError, OSError, RefusedError):
            return False
        return True


@asynccontextmanager
async def running_api_server(folder: Path, etcd: str = "etcd") -> AsyncIterator[ApiServer]:
    server = ApiServer(folder, etcd)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
