"""Pairs by the Leases and Nodes of a real API server, and what their Nodes come to say of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_client import ADMIN
from tests.helpers.cluster_objects import Object, account, lease, namespace, node, pod
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.followed_cluster import following_cluster, until
from tests.helpers.offmesh import Offmesh, serve_cluster
from xds_server.cluster.connection import ApiConnection
from xds_server.liveness.damping import Damping
from xds_server.liveness.leases import AgentLeases
from xds_server.liveness.reports import PairReports
from xds_server.liveness.verdicts import Verdicts
from xds_server.liveness.watch import Liveness
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.liveness import NodeDown
from xds_server.sources.kubernetes.kinds import agent_leases, mesh_kinds

STRATEGIC = "application/strategic-merge-patch+json"
SECONDS = 3
QUICK = Damping(recovery_seconds=0.1)


class Cluster:
    """A CPU node and its DPU node, whose agent renews its Lease as long as it runs."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self.server = server
        self.name = name
        self.cpu = f"{name}-cpu"
        self.dpu = f"{name}-dpu"
        self._agent: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def made(self) -> AsyncIterator["Cluster"]:
        nodes = node(self.cpu, "192.0.2.1"), node(self.dpu, "192.0.2.2")
        await self.server.apply(namespace(self.name), *nodes)
        try:
            yield self
        finally:
            await self.end_agent()
            await self.server.delete(*nodes)

    async def renew(self) -> None:
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await self.server.apply(lease(f"{self.name}/{self.dpu}", at, SECONDS))

    async def run_agent(self) -> None:
        await self.renew()
        self._agent = asyncio.create_task(self._renew_for_ever())

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(0.3)
            await self.renew()

    async def end_agent(self) -> None:
        if self._agent is not None:
            self._agent.cancel()
            await asyncio.wait([self._agent])
            assert self._agent.cancelled(), "the agent failed"
            self._agent = None

    async def remove_lease(self) -> None:
        await self.server.delete(lease(f"{self.name}/{self.dpu}", ""))

    async def set_ready(self, name: str, ready: str) -> None:
        body = {"status": {"conditions": [{"type": "Ready", "status": ready}]}}
        await self.server.request("PATCH", f"/api/v1/nodes/{name}/status", body, STRATEGIC)

    async def condition(self) -> Object:
        """Return what the CPU node says of its pair; nothing when it says nothing."""
        held = await self.server.request("GET", f"/api/v1/nodes/{self.cpu}")
        conditions: list[Object] = held["status"]["conditions"]
        assert "Ready" in [one["type"] for one in conditions]
        return next((one for one in conditions if one["type"] == "OffMeshPairReady"), {})

    async def says(self, status: str | None, reason: str | None) -> Object:
        """Return the condition as soon as it says this."""
        async with asyncio.timeout(30):
            while True:
                found = await self.condition()
                if (found.get("status"), found.get("reason")) == (status, reason):
                    return found
                await asyncio.sleep(0.02)

    async def events(self, count: int) -> list[Object]:
        """Return the Events about the CPU node, the oldest first, as soon as there are so many."""
        path = f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={self.cpu}"
        async with asyncio.timeout(30):
            while len(found := (await self.server.request("GET", path))["items"]) < count:
                await asyncio.sleep(0.02)
        return sorted(found, key=lambda event: int(event["metadata"]["resourceVersion"]))


class Judged:
    """A replica that judges the pair of a cluster; ``down`` is why which of its nodes is down."""

    def __init__(self, cluster: Cluster, liveness: Liveness, connection: ApiConnection) -> None:
        self.cluster = cluster
        self.liveness = liveness
        self.connection = connection

    @property
    def down(self) -> dict[str, str]:
        rows = self.liveness.registry.of(NodeDown).rows
        return {name: row.reason for name, row in rows.items()}

    async def becomes(self, reason: str, *nodes: str) -> None:
        await until(lambda: self.down == dict.fromkeys(nodes, reason))

    async def is_judged(self) -> None:
        await until(lambda: self.cluster.cpu in self.liveness.judged)


@asynccontextmanager
async def judging(
    cluster: Cluster, folder: Path, *, watch_url: str = "", look_url: str = "", token: str = ADMIN
) -> AsyncIterator[Judged]:
    """Judge by a watch and by looks that go their own ways; ``token`` is for looks and reports."""
    server = cluster.server
    kubeconfig = server.kubeconfig(folder / "kubeconfig-of-liveness", token, look_url)
    connection = ApiConnection(str(kubeconfig), timeout_seconds=2.0)
    kinds = (*mesh_kinds(), agent_leases(cluster.name))
    async with following_cluster(server, folder, watch_url, kinds) as followed:
        registry = followed.registry
        with registry.graph.transaction():
            registry.of(Pair).set("192.0.2.1", Pair("192.0.2.1", "192.0.2.2", cluster.cpu, cluster.dpu))
        look = AgentLeases(connection, cluster.name)
        clock = asyncio.get_running_loop().time
        liveness = Liveness(registry, followed.mesh.placement, clock, look, Verdicts(QUICK))
        await until(followed.one("Lease").loaded.is_set)
        running = asyncio.create_task(liveness.run())
        try:
            yield Judged(cluster, liveness, connection)
        finally:
            await end(running)
            await connection.close()


@asynccontextmanager
async def reporting(judged: Judged) -> AsyncIterator[None]:
    running = asyncio.create_task(PairReports(judged.connection, judged.liveness).run())
    try:
        yield
    finally:
        await end(running)


async def end(running: "asyncio.Task[Any]") -> None:
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled(), running.exception()


async def test_a_pair_is_down_when_its_agent_dies_or_a_node_is_not_ready_and_up_when_all_is_well(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with Cluster(api_server, "live").made() as cluster, judging(cluster, tmp_path) as judged:
        cpu, dpu = cluster.cpu, cluster.dpu
        await cluster.set_ready(cpu, "False")
        await cluster.run_agent()
        await judged.becomes("CPUNotReady", cpu)
        await cluster.set_ready(cpu, "True")
        await judged.becomes("")
        await cluster.set_ready(dpu, "Unknown")
        await judged.becomes("DPUNotReady", cpu, dpu)
        await cluster.set_ready(dpu, "True")
        await judged.becomes("")
        await cluster.end_agent()
        await judged.becomes("LeaseExpired", cpu, dpu)
        await cluster.run_agent()
        await judged.becomes("")
        await cluster.end_agent()
        await judged.becomes("LeaseExpired", cpu, dpu)
        await cluster.remove_lease()
        await judged.becomes("")
        assert not judged.liveness.judged


@pytest.mark.parametrize("fault", ["cut", "stall"])
async def test_while_the_api_server_is_away_no_pair_is_down_and_the_dead_are_found_when_it_is_back(
    api_server: ApiServer, tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        faulty_proxy(api_server.port) as proxy,
        Cluster(api_server, f"away-{fault}").made() as cluster,
        judging(cluster, tmp_path, watch_url=proxy.url, look_url=proxy.url) as judged,
    ):
        await cluster.renew()
        await judged.is_judged()
        {"cut": proxy.cut, "stall": proxy.stall}[fault]()
        held = judged.liveness.verdicts.leases[cluster.dpu]
        await until(lambda: held.counted_from > held.renewed_at + SECONDS)
        assert judged.down == {}
        proxy.mend()
        await judged.becomes("LeaseExpired", cluster.cpu, cluster.dpu)
        await cluster.renew()
        await until(lambda: judged.down == {})
    assert "looking at the Leases of agents: " in caplog.text


async def test_a_watch_that_has_stopped_telling_takes_down_nobody_whose_agent_lives(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with (
        faulty_proxy(api_server.port) as proxy,
        Cluster(api_server, "deaf").made() as cluster,
        judging(cluster, tmp_path, watch_url=proxy.url) as judged,
    ):
        await cluster.run_agent()
        await judged.is_judged()
        proxy.stall()
        held = judged.liveness.verdicts.leases[cluster.dpu]
        stalled_at = held.renewed_at
        await until(lambda: held.renewed_at > stalled_at + 2 * SECONDS)
        assert judged.down == {}


async def test_the_cpu_node_is_told_with_an_event_at_each_transition(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with (
        Cluster(api_server, "told").made() as cluster,
        judging(cluster, tmp_path) as judged,
        reporting(judged),
    ):
        await cluster.run_agent()
        first = await cluster.says("True", "PairReady")
        assert first["lastTransitionTime"] == first["lastHeartbeatTime"]
        await cluster.end_agent()
        expired = await cluster.says("False", "LeaseExpired")
        words = f"The agent on DPU node {cluster.dpu} has not renewed its Lease for 3 s."
        assert expired["message"] == words
        await cluster.set_ready(cluster.dpu, "False")
        both = await cluster.says("False", "LeaseExpired")
        while f"DPU node {cluster.dpu} is not ready." not in both["message"]:
            both = await cluster.says("False", "LeaseExpired")
        assert both["lastTransitionTime"] == expired["lastTransitionTime"]
        await cluster.set_ready(cluster.dpu, "True")
        await cluster.run_agent()
        await cluster.says("True", "PairReady")
        down, up = await cluster.events(2)
        held = await api_server.request("GET", f"/api/v1/nodes/{cluster.cpu}")
        assert down["involvedObject"]["uid"] == held["metadata"]["uid"]
        assert (down["type"], down["reason"], down["message"]) == ("Warning", "LeaseExpired", words)
        assert (up["type"], up["reason"], up["source"]) == ("Normal", "PairReady", {"component": "offmesh"})
        await cluster.end_agent()
        await cluster.remove_lease()
        await cluster.says(None, None)


async def test_a_condition_that_somebody_removes_is_written_again(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with (
        Cluster(api_server, "mended").made() as cluster,
        judging(cluster, tmp_path) as judged,
        reporting(judged),
    ):
        await cluster.run_agent()
        await cluster.says("True", "PairReady")
        patch = {"status": {"conditions": [{"type": "OffMeshPairReady", "$patch": "delete"}]}}
        await api_server.request("PATCH", f"/api/v1/nodes/{cluster.cpu}/status", patch, STRATEGIC)
        await cluster.says("True", "PairReady")


async def test_a_replica_that_starts_goes_by_what_the_nodes_say_of_a_dead_pair(
    api_server: ApiServer, tmp_path: Path
) -> None:
    async with Cluster(api_server, "restarted").made() as cluster:
        async with judging(cluster, tmp_path) as judged, reporting(judged):
            await cluster.renew()
            await cluster.says("False", "LeaseExpired")
            await cluster.events(1)
        async with judging(cluster, tmp_path) as judged, reporting(judged):
            await judged.is_judged()
            assert judged.down.keys() == {cluster.cpu, cluster.dpu}
            await cluster.run_agent()
            await judged.becomes("")
            await cluster.says("True", "PairReady")
        assert [event["reason"] for event in await cluster.events(2)] == ["LeaseExpired", "PairReady"]


async def test_the_rights_that_the_messages_name_are_enough(
    api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Cluster(api_server, "live-rights").made() as cluster:
        await api_server.apply(account("live-rights/server"))
        token = await api_server.token("live-rights", "server")
        async with judging(cluster, tmp_path, token=token) as judged, reporting(judged):
            await cluster.set_ready(cluster.cpu, "False")
            await cluster.run_agent()
            await until(lambda: "expected patch of nodes/status" in caplog.text)
            status = {"resources": ["nodes/status"], "verbs": ["patch"]}
            await api_server.apply(*rights("conditions", "", status))
            await cluster.says("False", "CPUNotReady")
            await until(lambda: "expected create of events in namespace default" in caplog.text)
            await api_server.apply(
                *rights("events", "default", {"resources": ["events"], "verbs": ["create"]})
            )
            await cluster.events(1)
            await cluster.set_ready(cluster.cpu, "True")
            await judged.becomes("")
            await cluster.end_agent()
            expected = "expected list and watch of leases.coordination.k8s.io in namespace live-rights"
            await until(lambda: expected in caplog.text)
            assert judged.down == {}
            group = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
            await api_server.apply(*rights("leases", "live-rights", group | {"verbs": ["list", "watch"]}))
            await judged.becomes("LeaseExpired", cluster.cpu, cluster.dpu)
        await api_server.delete(*rights("conditions", "", status))


@pytest.mark.parametrize(("policy", "expected"), [("unhealthy", "UNHEALTHY"), ("withdraw", "withdrawn")])
async def test_a_running_server_serves_tells_and_measures_what_it_judges(
    api_server: ApiServer, tmp_path: Path, policy: str, expected: str
) -> None:
    async with Cluster(api_server, f"served-{policy}").made() as cluster:
        inside = cluster.name
        pair = {"cpuNodeIP": "192.0.2.1", "dpuNodeIP": "192.0.2.2"}
        pair |= {"cpuNodeName": cluster.cpu, "dpuNodeName": cluster.dpu}
        (tmp_path / "cluster-conf.yaml").write_text(yaml.safe_dump({"pairs": [pair]}))
        await api_server.apply(
            account(f"{inside}/app"), pod(f"{inside}/app", cluster.cpu, "10.77.0.1", "app")
        )
        await cluster.run_agent()
        flags = [f"--namespace={inside}", f"--unhealthy-pairs={policy}", "--ca-secrets="]
        flags += ["--no-root-config-maps", f"--cluster-conf={tmp_path / 'cluster-conf.yaml'}"]
        flags.append(f"--certs={tmp_path / 'certs'}")
        serving = serve_cluster(tmp_path, api_server.kubeconfig(tmp_path), *flags)
        offmesh = await asyncio.to_thread(serving.__enter__)
        try:
            await cluster.says("True", "PairReady")
            assert await served_status(offmesh, inside) == "HEALTHY"
            await cluster.end_agent()
            await cluster.says("False", "LeaseExpired")
            assert await served_status(offmesh, inside) == expected
            told = await asyncio.to_thread(offmesh.get, f"/debug/livenessz?node={cluster.dpu}")
            (one,) = told["pairs"]
            assert (one["cpuNode"], one["state"], one["reasons"]) == (cluster.cpu, "down", ["LeaseExpired"])
            await cluster.run_agent()
            await cluster.says("True", "PairReady")
            assert await served_status(offmesh, inside) == "HEALTHY"
        finally:
            await asyncio.to_thread(serving.__exit__, None, None, None)


async def served_status(offmesh: Offmesh, inside: str) -> str:
    """Return the status of the workload in a namespace, as clients get it."""
    told = await asyncio.to_thread(offmesh.get, f"/debug/ambientz?ns={inside}")
    return next((one.get("status", "HEALTHY") for one in told["workloads"]), "withdrawn")


def rights(name: str, place: str, rule: Object) -> list[Object]:
    """Return a role, in one namespace or all, and its binding to ``live-rights/server``."""
    scope = "" if place else "Cluster"
    metadata = {"name": f"liveness-{name}"} | ({"namespace": place} if place else {})
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    group = "rbac.authorization.k8s.io"
    reference = {"apiGroup": group, "kind": f"{scope}Role", "name": f"liveness-{name}"}
    subject = {"kind": "ServiceAccount", "name": "server", "namespace": "live-rights"}
    return [
        head | {"kind": f"{scope}Role", "rules": [{"apiGroups": [""]} | rule]},
        head | {"kind": f"{scope}RoleBinding", "roleRef": reference, "subjects": [subject]},
    ]
