"""
DPU nodes in a cluster of their own: two real API servers with one issuer name, full of namesakes.

What is watched, what is proved and what is granted, as a server with ``--dpu-kubeconfig`` does it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import account, namespace, node, pod
from tests.helpers.followed_cluster import until
from tests.helpers.two_clusters import place
from xds_server.cluster.connection import ApiConnection
from xds_server.exceptions import ClusterError, DeniedError, UnauthenticatedError
from xds_server.identity.caller import Caller
from xds_server.identity.parts import IdentityParts
from xds_server.identity.tokens.cluster import KubernetesTokens
from xds_server.identity.tokens.cluster_keys import PublishedKeys
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.mesh.placement_report import placement_report
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import DpuNode, DpuPod
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import IdentitySettings, MeshSettings, ServeSettings
from xds_server.sources.kubernetes.kinds import dpu_kinds, mesh_kinds
from xds_server.sources.kubernetes.source import KubernetesSource, Watched
from xds_server.sources.problems import Problems

AUDIENCE = "istio-ca"
CPU_IP, DPU_IP = "10.77.0.1", "10.77.0.2"


class OnlyKeys(KubernetesTokens):
    """A cluster that lets this server have no token reviewed."""

    async def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any]:
        raise ClusterError("POST tokenreviews: this server's account lacks the right (403)")


class OnlyReviews(KubernetesTokens):
    """A cluster that lets this server read no signing keys."""

    async def keys(self) -> PublishedKeys:
        raise ClusterError("GET /openid/v1/jwks: this server's account lacks the right (403)")


class Pretender(KubernetesTokens):
    """A cluster that says yes to every token, in the words of its true cluster."""

    def __init__(self, connection: ApiConnection, true: KubernetesTokens) -> None:
        super().__init__(connection)
        self._true = true

    async def keys(self) -> PublishedKeys:
        return await self._true.keys()

    async def review(self, token: str, audiences: Sequence[str]) -> Mapping[str, Any]:
        return await self._true.review(token, audiences)


class TwoServed:
    """A mesh that follows two API servers, its parts of identity, and a token of a ztunnel in each."""

    def __init__(self, inside: str, first: ApiServer, dpu: ApiServer, folder: Path) -> None:
        self.inside = inside
        self.first, self.dpu = first, dpu
        self.folder = folder
        self.connections = [
            ApiConnection(str(server.kubeconfig(folder / f"kubeconfig-{number}")), timeout_seconds=5.0)
            for number, server in enumerate((first, dpu))
        ]
        self.registry = new_registry()
        self.mesh = Mesh(self.registry, MeshSettings(), two_clusters=True)
        watched = [Watched(self.connections[0], kind) for kind in mesh_kinds()]
        watched += [Watched(self.connections[1], kind) for kind in dpu_kinds()]
        self.source = KubernetesSource(watched, self.registry, Problems())
        self.tokens: list[str] = []

    async def fill(self) -> None:
        """In both clusters: a node ``<inside>-dpu`` and on it a pod ``<inside>/z`` of the node account."""
        inside = self.inside
        for server in (self.first, self.dpu):
            await server.apply(namespace(inside), account(f"{inside}/ztunnel"), account(f"{inside}/web"))
            (made,) = await server.apply(pod(f"{inside}/z", f"{inside}-dpu", "10.99.0.1", "ztunnel"))
            self.tokens.append(await server.token(inside, "ztunnel", AUDIENCE, made))
        await self.first.apply(
            node(f"{inside}-cpu", CPU_IP), pod(f"{inside}/web", f"{inside}-cpu", "10.99.0.2", "web")
        )
        await self.dpu.apply(node(f"{inside}-dpu", DPU_IP))
        place(self.registry, Pair(CPU_IP, DPU_IP))

    def parts(self, kind: type[KubernetesTokens] = KubernetesTokens) -> IdentityParts:
        return self.parts_with(*(kind(connection) for connection in self.connections))

    def parts_with(self, first: KubernetesTokens, dpu: KubernetesTokens) -> IdentityParts:
        trusted = frozenset({f"{self.inside}/ztunnel"})
        identity = IdentitySettings(certs=self.folder, trusted_node_accounts=trusted)
        settings = ServeSettings(manifests=(), cluster_conf=self.folder / "conf", identity=identity)
        return IdentityParts(settings, self.mesh, None, first, dpu)

    async def callers(self, parts: IdentityParts) -> list[Caller]:
        return [await parts.authenticator.authenticate(f"Bearer {token}", b"") for token in self.tokens]

    def may(self, parts: IdentityParts, caller: Caller, name: str) -> bool:
        try:
            parts.authorizer.authorize(caller, f"spiffe://cluster.local/ns/{self.inside}/sa/{name}")
        except DeniedError:
            return False
        return True

    def serving(self) -> str:
        name = f"Kubernetes//Pod/{self.inside}/web"
        rows = (row for collection in self.mesh.addresses for row in collection.rows.values())
        return next((api.Address.FromString(row.body).workload.node for row in rows if row.name == name), "")


@asynccontextmanager
async def serving_two(
    inside: str, first: ApiServer, dpu: ApiServer, folder: Path
) -> AsyncIterator[TwoServed]:
    served = TwoServed(inside, first, dpu, folder)
    await served.fill()
    await served.source.load(lambda _done, _total: None)
    following = asyncio.create_task(served.source.follow())
    try:
        yield served
    finally:
        following.cancel()
        await asyncio.wait([following])
        for connection in served.connections:
            await connection.close()
        # Nodes are of no namespace, and all tests give theirs the same addresses.
        await first.delete(node(f"{inside}-cpu", CPU_IP))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("dpu-cluster"))
    asyncio.run(_start(server))
    yield server
    asyncio.run(server.stop())


async def _start(server: ApiServer) -> None:
    await server.start()
    await server.close()


@pytest.fixture
async def dpu_cluster(second: ApiServer) -> AsyncIterator[ApiServer]:
    """The cluster of the DPU nodes, shared by the tests of this module."""
    yield second
    for held in (await second.request("GET", "/api/v1/nodes"))["items"]:
        await second.request("DELETE", f"/api/v1/nodes/{held['metadata']['name']}")
    await second.close()


@pytest.mark.parametrize("kind", [OnlyKeys, OnlyReviews])
async def test_a_token_has_the_rights_of_its_cluster_though_all_its_names_are_in_both(
    api_server: ApiServer, dpu_cluster: ApiServer, tmp_path: Path, kind: type[KubernetesTokens]
) -> None:
    inside = f"twins-{kind.__name__.lower()}"
    async with serving_two(inside, api_server, dpu_cluster, tmp_path) as served:
        parts = served.parts(kind)
        of_first, of_dpu = await served.callers(parts)
        assert [caller.cluster for caller in (of_first, of_dpu)] == ["", "dpu"]
        assert of_first.node == of_dpu.node == f"{inside}-dpu"
        assert served.serving() == f"{inside}-dpu"
        assert [served.may(parts, caller, "web") for caller in (of_first, of_dpu)] == [False, True]
        assert f"{inside}-dpu (DPU cluster)" not in placement_report(served.mesh.placement).unmapped


async def test_what_changes_in_the_dpu_cluster_acts_at_once(
    api_server: ApiServer, dpu_cluster: ApiServer, tmp_path: Path
) -> None:
    async with serving_two("moving", api_server, dpu_cluster, tmp_path) as served:
        parts = served.parts()
        _, of_dpu = await served.callers(parts)
        assert served.may(parts, of_dpu, "web")
        await dpu_cluster.delete(node("moving-dpu", DPU_IP))
        await until(lambda: served.serving() == "moving-cpu")
        assert not served.may(parts, of_dpu, "web")
        await dpu_cluster.apply(node("moving-dpu", DPU_IP))
        await until(lambda: served.serving() == "moving-dpu")
        assert served.may(parts, of_dpu, "web")
        await dpu_cluster.delete(pod("moving/z"))
        await until(lambda: "moving/z" not in served.registry.of(DpuPod))
        assert not served.may(parts, of_dpu, "web")
        with pytest.raises(UnauthenticatedError, match=r"pod moving/z \(DPU cluster\): not there"):
            await served.callers(parts)


async def test_while_the_dpu_cluster_is_away_its_tokens_are_held_and_those_of_the_first_are_as_ever(
    api_server: ApiServer, own_api_server: ApiServer, tmp_path: Path
) -> None:
    async with serving_two("away", api_server, own_api_server, tmp_path) as served:
        parts = served.parts(OnlyKeys)
        await served.callers(parts)
        held = dict(served.registry.of(DpuNode).rows)
        await own_api_server.stop_server()
        there = await api_server.request("GET", "/api/v1/namespaces/away/pods/z")
        served.tokens.append(await api_server.token("away", "ztunnel", AUDIENCE, there))
        callers = await served.callers(parts)
        assert [caller.cluster for caller in callers] == ["", "dpu", ""]
        assert [served.may(parts, caller, "web") for caller in callers] == [False, True, False]
        assert dict(served.registry.of(DpuNode).rows) == held


async def test_a_cluster_that_pretends_to_have_made_every_token_gains_none(
    api_server: ApiServer, dpu_cluster: ApiServer, tmp_path: Path
) -> None:
    async with serving_two("pretender", api_server, dpu_cluster, tmp_path) as served:
        first, dpu = (KubernetesTokens(connection) for connection in served.connections)
        for parts in (
            served.parts_with(first, Pretender(served.connections[1], first)),
            served.parts_with(Pretender(served.connections[0], dpu), dpu),
        ):
            for token in served.tokens:
                with pytest.raises(UnauthenticatedError, match=r"two clusters accept|does not accept"):
                    await parts.authenticator.authenticate(f"Bearer {token}", b"")
