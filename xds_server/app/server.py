"""
The parts of ``offmesh serve``, joined.

Order of starting: HTTP first (operators can see the load), the gRPC ports (streams wait), the map,
the objects, then one publication, and ready. Order of stopping: not ready, streams drained, sources
and publisher cancelled, HTTP last.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import random
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial

import grpc

from xds_server.app.identity import identity_parts
from xds_server.app.inputs import Inputs
from xds_server.app.leading import Told, candidate
from xds_server.app.mesh_names import NamesInForce
from xds_server.app.pairs import watched_pairs
from xds_server.app.watchdog import Watchdog
from xds_server.catalog.catalog import Catalog
from xds_server.cluster.backoff import Backoff
from xds_server.debug.http import DebugServer
from xds_server.debug.readiness import Readiness
from xds_server.debug.served import Served
from xds_server.exceptions import ClusterError, InputError
from xds_server.identity.parts import IdentityParts
from xds_server.mesh.address import Address
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.mesh.policies.authorization import AuthorizationRow
from xds_server.mesh.programs import Programs
from xds_server.sessions.clients import Clients
from xds_server.settings import ServeSettings
from xds_server.sources.problems import Problems
from xds_server.store.collection import Change
from xds_server.transport.ads import AggregatedDiscoveryService
from xds_server.transport.authentication import Authentication, NoAuthentication
from xds_server.transport.certificate_service import CertificateService
from xds_server.transport.fetch_secrets import SecretFetch
from xds_server.transport.secure_port import SecurePort
from xds_server.transport.server import GrpcServer
from xds_server.transport.stream_programs import Agents

Progress = Callable[[int, int], None]

log = logging.getLogger(__name__)


class Server:
    """Everything ``offmesh serve`` runs beside the probes. Made inside the event loop it will run in."""

    def __init__(self, settings: ServeSettings, readiness: Readiness, bound: dict[str, str]) -> None:
        self._settings = settings
        self._readiness = readiness
        self.bound = bound
        """Addresses in use by their name in the ready file."""
        registry = new_registry()
        problems = Problems()
        self._catalog = Catalog()
        clients = Clients()
        cluster = settings.cluster
        mesh = Mesh(
            registry, settings.mesh, two_clusters=cluster is not None and cluster.dpu_access is not None
        )
        self._inputs = Inputs(settings, registry, problems)
        NamesInForce(settings.mesh, registry, problems)
        self._identity = identity_parts(settings, mesh, self._inputs)
        self._liveness = watched_pairs(settings, self._inputs, registry, mesh)
        told = Told(registry, self._identity, self._liveness)
        self._election = candidate(settings, self._inputs, told)
        secrets = self._identity.secrets if self._identity else None
        programs = Programs(registry, mesh, settings.mesh, settings.datapath)
        agents = Agents(programs, settings.identity.agent_accounts)
        self._ads = AggregatedDiscoveryService(self._catalog, clients, settings.streams, secrets, agents)
        self._plain = GrpcServer(self._handlers(NoAuthentication()), settings.streams)
        self._secure = (
            SecurePort(self._identity.authenticator, settings.streams, self._handlers)
            if self._identity is not None
            else None
        )
        for addresses in mesh.addresses:
            mesh.graph.listen(addresses, self._receive_addresses)
        for policies in mesh.authorizations:
            mesh.graph.listen(policies, self._receive_authorizations)
        self._served = Served(
            settings=settings,
            registry=registry,
            mesh=mesh,
            catalog=self._catalog,
            clients=clients,
            problems=problems,
            objects=self._inputs.objects,
            placement=self._inputs.placement,
            watches=self._inputs.watches,
            election=self._election,
            liveness=self._liveness,
            readiness=self._readiness,
            admission=self._ads.admission,
            identity=self._identity,
            started_at=time.time(),
        )

    def _handlers(self, authentication: Authentication) -> list[grpc.GenericRpcHandler]:
        """Return everything one port serves."""
        handlers = list(self._ads.handlers(authentication))
        if self._identity is not None:
            parts = self._identity
            certificates = CertificateService(parts.authorizer, parts.signer, parts.audit)
            handlers.append(certificates.handler(authentication))
            handlers.append(SecretFetch(parts.secrets).handler(authentication))
        return handlers

    @property
    def _servers(self) -> list[GrpcServer]:
        return [self._plain] if self._secure is None else [self._plain, self._secure.server]

    def _receive_addresses(self, changes: Mapping[str, Change[Address]]) -> None:
        self._catalog.stage_addresses(changes)
        self._ads.publisher.receive_changes()

    def _receive_authorizations(self, changes: Mapping[str, Change[AuthorizationRow]]) -> None:
        self._catalog.stage_authorizations(changes)
        self._ads.publisher.receive_changes()

    async def run(self, progress: Progress, announce: Callable[[Mapping[str, str]], None]) -> None:
        stop = asyncio.Event()
        _on_signals(stop)
        debug = DebugServer(self._served)
        try:
            await self._open_ports(debug)
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self._work(progress, announce))
                await stop.wait()
                await self._drain()
                work.cancel()
        except* InputError as failed:
            raise failed.exceptions[0] from None
        finally:
            await self._plain.close()
            if self._secure is not None:
                await self._secure.close()
            await debug.stop()
            await self._inputs.close()

    async def _open_ports(self, http: DebugServer) -> None:
        settings = self._settings
        self.bound["http"] = await http.start(settings.http_address)
        if settings.grpc_address:
            self.bound["grpc"] = await self._plain.start(settings.grpc_address)

    async def _open_secure_port(self, parts: IdentityParts, port: SecurePort) -> str:
        await self._load_authority(parts)
        address, certificate = self._settings.secure_grpc_address, parts.server_certificate
        if not self._settings.identity.client_certificates:
            return await port.start(address, certificate)
        return await port.start_front(address, certificate, lambda: parts.authority.trust_bundle)

    async def _work(self, progress: Progress, announce: Callable[[Mapping[str, str]], None]) -> None:
        """Load everything once, then follow it for ever."""
        inputs = self._inputs
        self._readiness.need("placement", lambda: inputs.placement.missing)
        self._readiness.need("objects", lambda: inputs.objects.missing)
        self._readiness.have("start")
        if self._identity is not None and self._secure is not None:
            self.bound["secureGrpc"] = await self._open_secure_port(self._identity, self._secure)
        await inputs.placement.load()
        self._readiness.have("placement")
        await inputs.objects.load(progress)
        if self._liveness is not None:
            self._liveness.settle()
        self._catalog.publish()
        _settle_memory()
        self._ads.ready.set()
        await self._set_serving(True)
        self._readiness.have("objects")
        self._write_ready_file()
        announce(self.bound)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(inputs.placement.follow())
            tasks.create_task(inputs.objects.follow())
            tasks.create_task(self._ads.publisher.run())
            tasks.create_task(self._ads.watch_writes())
            tasks.create_task(self._watchdog().run())
            if self._identity is not None:
                tasks.create_task(self._identity.run())
            if self._liveness is not None:
                tasks.create_task(self._liveness.run())
            if self._election is not None:
                tasks.create_task(self._election.run())

    def _watchdog(self) -> Watchdog:
        reflectors = self._inputs.watches.reflectors if self._inputs.watches else ()

        async def leave() -> None:
            await self._set_serving(False)
            await self._ads.drain(self._settings.streams.drain_seconds)

        return Watchdog(self._readiness, reflectors, leave, partial(self._set_serving, True))

    async def _set_serving(self, serving: bool) -> None:
        for server in self._servers:
            await server.set_serving(serving)

    async def _load_authority(self, parts: IdentityParts) -> None:
        """Read or make the certificate authority; where it is in a cluster, wait for that."""
        backoff = Backoff(random.random)
        while True:
            try:
                await parts.load()
            except ClusterError as error:
                self._readiness.need("authority", f"the certificate authority is not loaded: {error}")
                log.warning("the certificate authority is not loaded: %s", error)
                await asyncio.sleep(backoff.after(error))
            else:
                self._readiness.have("authority")
                return

    async def _drain(self) -> None:
        seconds = self._settings.streams.drain_seconds
        log.info("stopping: draining streams for at most %g s", seconds)
        self._readiness.need("drain", "draining: this server is stopping")
        # From their first step on the servers take no new stream; those drained cannot come back here.
        await asyncio.gather(
            *(server.stop(seconds + 1.0) for server in self._servers), self._ads.drain(seconds)
        )

    def _write_ready_file(self) -> None:
        path = self._settings.ready_file
        if path is None:
            return
        scratch = path.with_name(f".{path.name}.new")
        scratch.write_text(json.dumps(self.bound) + "\n")
        scratch.replace(path)


def _on_signals(stop: asyncio.Event) -> None:
    """The first signal stops in good order, the second at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in a task

    def receive_signal() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive_signal)


def _settle_memory() -> None:
    """What was loaded lives long: the collector need not look at it again, nor often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    with contextlib.suppress(OSError, AttributeError):  # glibc alone keeps what a load has freed
        ctypes.CDLL(None).malloc_trim(0)
