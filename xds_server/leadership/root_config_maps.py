"""
The ConfigMap ``istio-ca-root-cert`` in every namespace: the roots a pod needs to trust the control plane.

Rules
1. What the API server has is known by a watch of just these ConfigMaps, and only what differs is written.
   Of a ConfigMap that is there only the roots are written: other keys and labels are their owners'.
2. One namespace that cannot be written does not keep the others from it; it is tried again, ever more
   rarely. Where the API server is away or has too much to do, all wait.
3. Whoever else keeps writing there is not raced: after a few repairs the next ones come ever more rarely.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xds_server.cluster.backoff import Backoff
from xds_server.cluster.connection import ApiConnection
from xds_server.cluster.outage import Outage
from xds_server.cluster.request import MERGE_PATCH, ApiError, Request, refusal
from xds_server.exceptions import ClusterError
from xds_server.leadership.pending import Pending, Repairs
from xds_server.objects.kubernetes import ConfigMap, Namespace
from xds_server.sources.kubernetes.kinds import WatchedKind
from xds_server.sources.kubernetes.source import KubernetesSource, Watched
from xds_server.sources.problems import Problems
from xds_server.store.collection import Change
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry

NAME = "istio-ca-root-cert"
KEY = "root-cert.pem"
SKIPPED = frozenset({"kube-public", "kube-node-lease", "local-path-storage"})
"""As istiod does. kube-system is not among them: ztunnel may run there."""
_LABELS = {"istio.io/config": "true", "app.kubernetes.io/managed-by": "offmesh"}
_MANAGER = {"fieldManager": "offmesh"}
_KIND = WatchedKind(type=ConfigMap, plural="configmaps", selectors={"fieldSelector": f"metadata.name={NAME}"})
_RACES = (404, 409)
"""Namespace or ConfigMap came or went meanwhile."""
_OF_ALL = (401, 408, 429)
"""Refusals that are not about one namespace."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WriteTiming:
    """All times in seconds."""

    pause_seconds: float = 0.05
    """After each write: 20 a second at most."""
    race_seconds: float = 1.0
    """Until a namespace is looked at again where something came or went."""
    longest_seconds: float = 60.0
    """Between tries in one namespace."""
    check_seconds: float = 600.0
    """Between comparisons of what the watch told with a list."""


class RootConfigMaps:
    """A duty; told of namespaces and roots whether it runs or not."""

    def __init__(self, connection: ApiConnection, timing: WriteTiming | None = None) -> None:
        self._connection = connection
        self._timing = timing or WriteTiming()
        self._namespaces: frozenset[str] = frozenset()
        self._bundle = ""
        self._pending = Pending()
        self._repairs = Repairs()
        self._refused: dict[str, int] = {}
        """The code with which each namespace was last refused."""
        self._retries: dict[str, Backoff] = {}
        self._outage = Outage(log, f"writing ConfigMap {NAME}")
        self._wake = asyncio.Event()

    def receive_namespaces(self, namespaces: Iterable[Namespace]) -> None:
        """Take all the namespaces there are; those that are going or belong to Kubernetes are left alone."""
        live = (one for one in namespaces if one.metadata.deletion_timestamp is None)
        before, self._namespaces = self._namespaces, frozenset(one.name for one in live) - SKIPPED
        for gone in before - self._namespaces:
            self._forget(gone)
        self._look_at(self._namespaces - before)

    def receive_bundle(self, pem: str) -> None:
        """Take the roots to trust; empty as long as there are none."""
        if pem != self._bundle:
            self._bundle = pem
            self._look_at(self._namespaces)

    async def run(self) -> None:
        """Keep the ConfigMaps equal to the roots, for ever. What fails is told and tried again."""
        registry = Registry(Graph(), (ConfigMap,))
        watched = (Watched(self._connection, _KIND),)
        source = KubernetesSource(watched, registry, Problems(), self._timing.check_seconds)
        registry.graph.listen(registry.of(ConfigMap), self._receive_changes)
        await source.load(lambda _done, _all: None)
        self._look_at(self._namespaces)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(source.follow())
            tasks.create_task(self._write_for_ever(registry.of(ConfigMap).rows))

    def _receive_changes(self, changes: Mapping[str, Change[ConfigMap]]) -> None:
        self._look_at(key.partition("/")[0] for key in changes)

    def _look_at(self, namespaces: Iterable[str]) -> None:
        self._pending.add(namespaces)
        self._wake.set()

    def _forget(self, namespace: str) -> None:
        self._pending.discard(namespace)
        self._repairs.discard(namespace)
        self._retries.pop(namespace, None)
        self._settle(namespace)

    async def _write_for_ever(self, rows: Mapping[str, ConfigMap]) -> None:
        clock, backoff = asyncio.get_running_loop().time, Backoff(random.random)
        while True:
            self._wake.clear()
            namespace = self._pending.take(clock())
            if namespace is None:
                await self._sleep_until(self._pending.next_at)
                continue
            request = self._request(namespace, rows.get(f"{namespace}/{NAME}"))
            if request is None:
                continue
            try:
                await self._write(namespace, request, clock())
            except ClusterError as error:
                self._outage.begin(str(error))
                self._look_at((namespace,))
                await asyncio.sleep(backoff.after(error))
            else:
                self._outage.end()
                backoff.reset()
                await asyncio.sleep(self._timing.pause_seconds)

    def _request(self, namespace: str, held: ConfigMap | None) -> Request | None:
        """Return what makes the ConfigMap right; None when it is, or is not wanted."""
        bundle = self._bundle
        if not bundle or namespace not in self._namespaces:
            return None
        path, data = f"/api/v1/namespaces/{namespace}/configmaps", {"data": {KEY: bundle}}
        if held is None:
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "labels": _LABELS}}
            right = "create of configmaps in all namespaces"
            return Request("POST", path, body | data, _MANAGER, right=right)
        if (held.data or {}).get(KEY) == bundle:
            return None
        right = f"patch of configmaps named {NAME} in all namespaces"
        return Request("PATCH", f"{path}/{NAME}", data, _MANAGER, content_type=MERGE_PATCH, right=right)

    async def _write(self, namespace: str, request: Request, now: float) -> None:
        """
        Write one ConfigMap; where just this one cannot be written, put it off.

        Raises:
            ClusterError: none can be written now.

        """
        bundle = self._bundle
        code, content = await self._connection.call(request)
        if namespace not in self._namespaces:
            return
        if 200 <= code < 300:
            self._receive_success(namespace, bundle, now)
        elif code in _RACES or (code == 403 and b"NamespaceTerminating" in content):
            self._pending.hold(namespace, now + self._timing.race_seconds)
        elif code in _OF_ALL or not 400 <= code < 500:
            raise refusal(request, code, content)
        else:
            self._receive_refusal(namespace, refusal(request, code, content), now)

    def _receive_success(self, namespace: str, bundle: str, now: float) -> None:
        self._retries.pop(namespace, None)
        self._settle(namespace)
        pause = self._repairs.receive(namespace, bundle, now)
        if pause:
            self._pending.hold(namespace, now + pause)
        if pause == 1.0:
            where = f"ConfigMap {namespace}/{NAME}"
            log.warning("%s: somebody else keeps changing it: expected one control plane to write it", where)

    def _receive_refusal(self, namespace: str, error: ApiError, now: float) -> None:
        if error.code not in self._refused.values():
            log.warning("ConfigMap %s is not written everywhere: %s", NAME, error)
        self._refused[namespace] = error.code
        longest = self._timing.longest_seconds
        retry = self._retries.setdefault(namespace, Backoff(random.random, 1.0, longest))
        self._pending.hold(namespace, now + retry.after(error))

    def _settle(self, namespace: str) -> None:
        if self._refused.pop(namespace, None) and not self._refused:
            log.info("ConfigMap %s is written everywhere again", NAME)

    async def _sleep_until(self, moment: float | None) -> None:
        try:
            async with asyncio.timeout_at(moment):
                await self._wake.wait()
        except TimeoutError:
            return
