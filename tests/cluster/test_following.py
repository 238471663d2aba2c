"""A registry follows a real API server: what is there is held, and what is gone is not."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.api_server import DEBIAN_ETCD, ApiServer, running_api_server
from tests.helpers.cluster_objects import namespace, node, pod, service
from tests.helpers.faulty_proxy import faulty_proxy
from tests.helpers.followed_cluster import following_cluster, until
from xds_server.objects.kubernetes import Pod


async def fill(server: ApiServer, inside: str, pods: int = 7) -> None:
    await server.apply(namespace(inside), service(f"{inside}/app", app=inside))
    for number in range(pods):
        await server.apply(pod(f"{inside}/p{number}", "n1", f"10.9.0.{number}", labels={"app": inside}))


async def test_what_is_there_is_loaded_and_what_changes_follows(
    api_server: ApiServer, tmp_path: Path
) -> None:
    await fill(api_server, "follow")
    await api_server.apply(node("follow-node", "10.1.1.1"))
    async with following_cluster(api_server, tmp_path) as followed:
        await until(followed.one("Pod").loaded.is_set)
        assert len(followed.keys("Pod", "follow/")) == 7
        assert "follow-node" in followed.keys("Node")
        await api_server.apply(pod("follow/late", "n1", "10.9.0.99"))
        await until(lambda: "follow/late" in followed.keys("Pod"))
        source = followed.registry.of(Pod)
        await until(lambda: source.rows["follow/late"].status.pod_ip == "10.9.0.99")
        await api_server.delete(pod("follow/p0"), node("follow-node", ""))
        await until(lambda: "follow/p0" not in followed.keys("Pod"))
        await until(lambda: "follow-node" not in followed.keys("Node"))
        assert followed.one("Pod").contact.lists == 1
        assert followed.one("Pod").contact.streamed


async def test_a_pod_that_finishes_is_gone_though_it_is_still_there(
    api_server: ApiServer, tmp_path: Path
) -> None:
    await fill(api_server, "finish", 2)
    async with following_cluster(api_server, tmp_path) as followed:
        await until(lambda: "finish/p1" in followed.keys("Pod"))
        done = {"status": {"phase": "Succeeded"}}
        path = "/api/v1/namespaces/finish/pods/p1/status"
        await api_server.request("PATCH", path, done, "application/merge-patch+json")
        await until(lambda: "finish/p1" not in followed.keys("Pod"))
        assert "finish/p0" in followed.keys("Pod")


async def test_a_server_that_cannot_stream_lists_is_read_by_pages(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    async with running_api_server(folder, DEBIAN_ETCD) as old:
        await fill(old, "paged", 8)
        async with following_cluster(old, tmp_path) as followed:
            await until(followed.one("Pod").loaded.is_set)
            assert len(followed.keys("Pod", "paged/")) == 8
            assert not followed.one("Pod").contact.streamed
            await old.delete(pod("paged/p3"))
            await until(lambda: "paged/p3" not in followed.keys("Pod"))


async def test_watches_end_and_are_resumed_without_a_list_or_a_change(
    api_server: ApiServer, tmp_path: Path
) -> None:
    await fill(api_server, "resume", 3)
    async with following_cluster(api_server, tmp_path) as followed:
        await until(lambda: followed.one("Pod").contact.resumed >= 2)
        contact = followed.one("Pod").contact
        assert (contact.lists, contact.failure) == (1, "")
        await api_server.delete(pod("resume/p0"))
        await until(lambda: "resume/p0" not in followed.keys("Pod"))


@pytest.mark.parametrize("fault", ["cut", "drop", "stall", "truncate"])
async def test_what_happens_behind_a_broken_connection_is_caught_up_with(
    api_server: ApiServer, tmp_path: Path, fault: str
) -> None:
    inside = f"broken-{fault}"
    await fill(api_server, inside, 4)
    async with (
        faulty_proxy(api_server.port) as proxy,
        following_cluster(api_server, tmp_path, proxy.url) as followed,
    ):
        await until(followed.one("Pod").loaded.is_set)
        held = dict(followed.registry.of(Pod).rows)
        break_it: dict[str, Callable[[], None]] = {
            "cut": proxy.cut,
            "drop": proxy.drop,
            "stall": proxy.stall,
            "truncate": partial(proxy.truncate, 100),
        }
        break_it[fault]()
        await api_server.delete(pod(f"{inside}/p0"))
        await api_server.apply(pod(f"{inside}/new", "n1", "10.9.9.9"))
        if fault in ("cut", "stall"):
            await until(lambda: followed.one("Pod").contact.failure)
            assert followed.registry.of(Pod).rows == held
        proxy.mend()
        await until(lambda: f"{inside}/new" in followed.keys("Pod"))
        assert f"{inside}/p0" not in followed.keys("Pod")
        assert followed.one("Pod").contact.lists == 1
        await until(lambda: not followed.one("Pod").contact.failure)


async def test_a_server_that_was_away_changes_nothing_when_it_returns(
    own_api_server: ApiServer, tmp_path: Path
) -> None:
    await fill(own_api_server, "away", 5)
    async with following_cluster(own_api_server, tmp_path) as followed:
        await until(followed.one("Pod").loaded.is_set)
        changes: list[object] = []
        followed.registry.graph.listen(followed.registry.of(Pod), changes.append)
        await own_api_server.restart(seconds_down=1.0)
        await until(lambda: followed.one("Pod").contact.failure == "" and followed.one("Pod").contact.resumed)
        assert changes == []
        await own_api_server.delete(pod("away/p0"))
        await until(lambda: "away/p0" not in followed.keys("Pod"))


async def test_an_object_that_was_missed_is_found_by_a_check_counted_and_mended(
    api_server: ApiServer, tmp_path: Path
) -> None:
    await fill(api_server, "drift", 4)
    async with following_cluster(api_server, tmp_path) as followed:
        pods = followed.one("Pod")
        await until(pods.loaded.is_set)
        await pods.check()
        assert (pods.contact.checks, pods.contact.drift) == (1, 0)
        source = followed.registry.of(Pod)
        held = dict(source.rows)
        with followed.registry.graph.transaction():
            source.set("drift/ghost", held["drift/p1"])
            source.delete("drift/p2")
            source.set("drift/p3", held["drift/p1"])
        await pods.check()
        assert (pods.contact.checks, pods.contact.drift) == (2, 3)
        assert source.rows == held
