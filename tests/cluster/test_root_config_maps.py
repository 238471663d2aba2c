"""The roots to trust in every namespace of a real API server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import account, namespace
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.followed_cluster import until
from xds_server.cluster.connection import LARGEST_ANSWER, ApiConnection
from xds_server.cluster.request import Request
from xds_server.leadership.root_config_maps import NAME, RootConfigMaps, WriteTiming
from xds_server.objects.kubernetes import Namespace, ObjectMeta

QUICK = WriteTiming(pause_seconds=0.0, race_seconds=0.1, longest_seconds=0.5)
MERGE = "application/merge-patch+json"


class NotingConnection(ApiConnection):
    """Notes what is written."""

    def __init__(self, kubeconfig: str) -> None:
        super().__init__(kubeconfig, timeout_seconds=5.0)
        self.written: list[str] = []

    async def call(
        self, request: Request, largest: int = LARGEST_ANSWER, seconds: float = 0.0
    ) -> tuple[int, bytes]:
        if request.method != "GET":
            self.written.append(str(request))
        return await super().call(request, largest, seconds)


class Publisher:
    """A duty that runs, and the namespaces it is told of."""

    def __init__(self, duty: RootConfigMaps, written: list[str]) -> None:
        self.duty = duty
        self.written = written
        self.names: list[Namespace] = []

    def add(self, *names: str, going: bool = False) -> None:
        """Tell the duty of further namespaces."""
        since = "2026-01-01T00:00:00Z" if going else None
        self.names += [Namespace(metadata=ObjectMeta(name, deletion_timestamp=since)) for name in names]
        self.duty.receive_namespaces(self.names)

    def remove(self, name: str) -> None:
        self.names = [one for one in self.names if one.name != name]
        self.duty.receive_namespaces(self.names)


@asynccontextmanager
async def publishing(kubeconfig: Path) -> AsyncIterator[Publisher]:
    connection = NotingConnection(str(kubeconfig))
    duty = RootConfigMaps(connection, QUICK)
    running = asyncio.create_task(duty.run())
    try:
        yield Publisher(duty, connection.written)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await connection.close()
        assert running.cancelled()


@pytest.fixture
def kubeconfig(api_server: ApiServer, tmp_path: Path) -> Path:
    return api_server.kubeconfig(tmp_path / "kubeconfig")


def path(inside: str) -> str:
    return f"/api/v1/namespaces/{inside}/configmaps/{NAME}"


async def held(server: ApiServer, inside: str) -> dict[str, Any]:
    """Return the ConfigMap of a namespace; nothing when there is none."""
    listed = await server.request(
        "GET", f"{path(inside).removesuffix(f'/{NAME}')}?fieldSelector=metadata.name={NAME}"
    )
    found: list[dict[str, Any]] = listed["items"]
    return found[0] if found else {}


async def becomes(server: ApiServer, inside: str, pem: str) -> dict[str, Any]:
    """Return the ConfigMap of a namespace as soon as it holds just these roots."""
    async with asyncio.timeout(30):
        while (found := await held(server, inside)).get("data", {}).get("root-cert.pem") != pem:
            await asyncio.sleep(0.02)
    return found


async def test_every_namespace_but_those_of_kubernetes_has_the_roots(
    api_server: ApiServer, kubeconfig: Path
) -> None:
    await api_server.apply(namespace("every-1"), namespace("every-2"), namespace("local-path-storage"))
    async with publishing(kubeconfig) as publisher:
        publisher.add("kube-public", "kube-node-lease", "local-path-storage")
        publisher.add("every-1", "kube-system", "every-2")
        publisher.duty.receive_bundle("every root")
        for inside in ("every-1", "every-2", "kube-system"):
            found = await becomes(api_server, inside, "every root")
            assert found["metadata"]["labels"]["istio.io/config"] == "true"
            assert found["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "offmesh"
            assert found["data"] == {"root-cert.pem": "every root"}
        for inside in ("kube-public", "kube-node-lease", "local-path-storage"):
            assert await held(api_server, inside) == {}
    await api_server.request("DELETE", path("kube-system"))


async def test_nothing_is_written_before_the_roots_are_known(api_server: ApiServer, kubeconfig: Path) -> None:
    await api_server.apply(namespace("early"), namespace("late"))
    async with publishing(kubeconfig) as publisher:
        publisher.add("early")
        publisher.duty.receive_bundle("")
        publisher.add("late")
        publisher.duty.receive_bundle("known")
        await becomes(api_server, "early", "known")
        found = await becomes(api_server, "late", "known")
        assert found["metadata"]["managedFields"][0]["manager"] == "offmesh"
        assert len(found["metadata"]["managedFields"]) == 1


async def test_what_others_change_or_delete_is_repaired_and_theirs_is_kept(
    api_server: ApiServer, kubeconfig: Path
) -> None:
    await api_server.apply(namespace("repaired"))
    async with publishing(kubeconfig) as publisher:
        publisher.add("repaired")
        publisher.duty.receive_bundle("ours")
        await becomes(api_server, "repaired", "ours")
        theirs = {"data": {"root-cert.pem": "theirs", "note": "kept"}, "metadata": {"labels": {"a": "b"}}}
        await api_server.request("PATCH", path("repaired"), theirs, MERGE)
        found = await becomes(api_server, "repaired", "ours")
        assert found["data"]["note"] == "kept"
        assert found["metadata"]["labels"]["a"] == "b"
        await api_server.request("DELETE", path("repaired"))
        await becomes(api_server, "repaired", "ours")


async def test_what_is_right_is_not_written(api_server: ApiServer, kubeconfig: Path) -> None:
    await api_server.apply(namespace("right"), namespace("after"))
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}}
    await api_server.request(
        "POST", path("right").removesuffix(f"/{NAME}"), body | {"data": {"root-cert.pem": "same"}}
    )
    async with publishing(kubeconfig) as publisher:
        publisher.duty.receive_bundle("same")
        publisher.add("after", "right")
        await becomes(api_server, "after", "same")
        publisher.duty.receive_bundle("same")
        publisher.add()
        await api_server.request("DELETE", path("after"))
        await becomes(api_server, "after", "same")
        assert publisher.written == [f"POST {path('after').removesuffix(f'/{NAME}')}"] * 2


async def test_new_roots_come_everywhere_and_new_namespaces_too(
    api_server: ApiServer, kubeconfig: Path
) -> None:
    names = [f"new-{number}" for number in range(6)]
    await api_server.apply(*map(namespace, names))
    async with publishing(kubeconfig) as publisher:
        publisher.duty.receive_bundle("old roots")
        publisher.add(*names[:4])
        for name in names[:4]:
            await becomes(api_server, name, "old roots")
        publisher.add(names[4])
        await becomes(api_server, names[4], "old roots")
        publisher.duty.receive_bundle("new roots")
        publisher.add(names[5])
        for name in names:
            await becomes(api_server, name, "new roots")


async def test_namespaces_that_are_going_or_gone_do_not_stop_the_others(
    api_server: ApiServer, kubeconfig: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await api_server.apply(namespace("staying"), namespace("going"), namespace("known-as-going"))
    # Without its finalizers being done, a namespace stays and takes in nothing new.
    await api_server.request("DELETE", "/api/v1/namespaces/going")
    async with publishing(kubeconfig) as publisher:
        publisher.duty.receive_bundle("roots")
        publisher.add("known-as-going", going=True)
        publisher.add("staying", "going", "never-there")
        await becomes(api_server, "staying", "roots")
        assert await held(api_server, "going") == {}
        await api_server.apply(namespace("never-there"))
        await becomes(api_server, "never-there", "roots")
        publisher.remove("never-there")
        await api_server.request("DELETE", path("never-there"))
        await api_server.request("DELETE", path("staying"))
        await becomes(api_server, "staying", "roots")
        assert await held(api_server, "never-there") == {}
        assert await held(api_server, "known-as-going") == {}
    assert caplog.text == ""


async def test_what_may_not_be_written_does_not_stop_the_others_and_the_rights_named_are_enough(
    api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    inside = ["granted", "refused-1", "refused-2"]
    await api_server.apply(*map(namespace, inside), account("granted/server"))
    await api_server.apply(*rights("watch", ["list", "watch", "patch"], named=True))
    await api_server.apply(*rights("create", ["create"], place="granted"))
    token = await api_server.token("granted", "server")
    async with publishing(api_server.kubeconfig(tmp_path / "least", token)) as publisher:
        publisher.duty.receive_bundle("roots")
        publisher.add("granted", "refused-1")
        await becomes(api_server, "granted", "roots")
        await api_server.request("PATCH", path("granted"), {"data": {"root-cert.pem": "others"}}, MERGE)
        await becomes(api_server, "granted", "roots")
        await until(lambda: refusals(caplog) == 1)
        publisher.remove("refused-1")
        assert "is written everywhere again" in caplog.text
        publisher.add("refused-1", "refused-2")
        await until(lambda: len(publisher.written) >= 5)
        await becomes(api_server, "granted", "roots")
        assert refusals(caplog) == 2
        await api_server.apply(*rights("create", ["create"]))
        for name in inside:
            await becomes(api_server, name, "roots")
        publisher.duty.receive_bundle("new roots")
        for name in inside:
            await becomes(api_server, name, "new roots")
    assert caplog.text.count("is written everywhere again") == 2
    assert refusals(caplog) == 2


def refusals(caplog: pytest.LogCaptureFixture) -> int:
    """How often it was told that a right is missing; anything else told is a failure."""
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert all("expected create of configmaps in all namespaces" in message for message in told)
    return len(told)


def rights(name: str, verbs: list[str], place: str = "", *, named: bool = False) -> list[dict[str, Any]]:
    """Return a role for ConfigMaps, in one namespace or all, and its binding to ``granted/server``."""
    rule: dict[str, Any] = {"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}
    if named:
        rule["resourceNames"] = [NAME]
    scope = "" if place else "Cluster"
    metadata = {"name": f"roots-{name}"} | ({"namespace": place} if place else {})
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": f"{scope}Role", "name": f"roots-{name}"}
    subject = {"kind": "ServiceAccount", "name": "server", "namespace": "granted"}
    return [
        head | {"kind": f"{scope}Role", "rules": [rule]},
        head | {"kind": f"{scope}RoleBinding", "roleRef": reference, "subjects": [subject]},
    ]


async def test_one_who_keeps_changing_the_roots_is_told_of_and_not_raced(
    api_server: ApiServer, kubeconfig: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await api_server.apply(namespace("contested"))
    async with publishing(kubeconfig) as publisher:
        publisher.duty.receive_bundle("ours")
        publisher.add("contested")
        await becomes(api_server, "contested", "ours")
        for number in range(4):
            other = {"data": {"root-cert.pem": f"other {number}"}}
            await api_server.request("PATCH", path("contested"), other, MERGE)
            await becomes(api_server, "contested", "ours")
    assert [record.getMessage() for record in caplog.records] == [
        f"ConfigMap contested/{NAME}: somebody else keeps changing it: expected one control plane to write it"
    ]


async def test_what_changed_while_the_api_server_was_away_is_repaired_when_it_is_back(
    api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await api_server.apply(namespace("away"), namespace("away-new"))
    async with (
        faulty_proxy(api_server.port) as proxy,
        publishing(api_server.kubeconfig(tmp_path / "behind", server=proxy.url)) as publisher,
    ):
        publisher.duty.receive_bundle("roots")
        publisher.add("away")
        await becomes(api_server, "away", "roots")
        proxy.cut()
        await api_server.request("DELETE", path("away"))
        publisher.add("away-new")
        await until(lambda: f"writing ConfigMap {NAME}: POST" in caplog.text)
        proxy.mend()
        await becomes(api_server, "away", "roots")
        await becomes(api_server, "away-new", "roots")
