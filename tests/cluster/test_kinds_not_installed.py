"""A kind that may be missing: it has no objects until it is installed, and no more when it is removed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import crds, namespace
from tests.helpers.followed_cluster import REFLECT, following_cluster, until
from tests.helpers.rewriting_proxy import Answer, rewriting_proxy
from xds_server.objects.kubernetes import Namespace, Service
from xds_server.sources.kubernetes.kinds import WatchedKind, mesh_kinds

# Its objects are read as Services, which have the fields that are looked at here.
ENTRIES = WatchedKind(
    type=Service,
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    plural="serviceentries",
    optional=True,
)
KINDS = (*(kind for kind in mesh_kinds() if kind.type is Namespace), ENTRIES)


def definition() -> dict[str, Any]:
    return next(one for one in crds() if one["spec"]["names"]["plural"] == "serviceentries")


def entry(key: str, version: str = "v1") -> dict[str, Any]:
    inside, _, name = key.partition("/")
    metadata = {"name": name, "namespace": inside}
    return {"apiVersion": f"networking.istio.io/{version}", "kind": "ServiceEntry", "metadata": metadata}


@pytest.fixture
async def cluster(own_api_server: ApiServer) -> AsyncIterator[ApiServer]:
    await own_api_server.apply(namespace("shop"))
    yield own_api_server


async def test_it_is_taken_up_when_it_appears_and_given_up_when_it_goes(
    cluster: ApiServer, tmp_path: Path
) -> None:
    async with following_cluster(cluster, tmp_path, kinds=KINDS) as followed:
        entries = followed.one("Service")
        await until(entries.loaded.is_set)
        assert (entries.contact.installed, entries.contact.failure) == (False, "")
        assert entries.rows.source.synced
        await cluster.apply(definition())
        await cluster.apply(entry("shop/outside"))
        await until(lambda: followed.keys("Service") == {"shop/outside"})
        assert entries.contact.installed
        await cluster.delete(definition())
        await until(lambda: not entries.contact.installed)
        assert followed.keys("Service") == set()
        await cluster.apply(definition())
        await cluster.apply(entry("shop/again"))
        await until(lambda: followed.keys("Service") == {"shop/again"})


async def test_the_first_version_that_is_served_is_read(cluster: ApiServer, tmp_path: Path) -> None:
    old = definition()
    old["spec"]["versions"] = [one for one in old["spec"]["versions"] if one["name"] == "v1beta1"]
    old["spec"]["versions"][0]["storage"] = True
    await cluster.apply(old)
    await cluster.apply(entry("shop/old", "v1beta1"))
    async with following_cluster(cluster, tmp_path, kinds=KINDS) as followed:
        await until(lambda: followed.keys("Service") == {"shop/old"})
        assert followed.one("Service").path == "/apis/networking.istio.io/v1beta1/serviceentries"


async def test_a_server_that_does_not_know_it_for_a_moment_takes_no_object_away(
    cluster: ApiServer, tmp_path: Path
) -> None:
    await cluster.apply(definition())
    await cluster.apply(entry("shop/kept"))
    async with (
        rewriting_proxy(cluster) as proxy,
        following_cluster(cluster, tmp_path, proxy.url, KINDS) as followed,
    ):
        entries = followed.one("Service")
        await until(lambda: followed.keys("Service") == {"shop/kept"})
        left = 2 * len(ENTRIES.versions)

        def unknown(request: Any) -> Answer | None:
            nonlocal left
            left -= "serviceentries" in request.path
            return Answer(404) if "serviceentries" in request.path and left >= 0 else None

        seen: list[object] = []
        followed.registry.graph.listen(followed.registry.of(Service), seen.append)
        proxy.rule = unknown
        await until(lambda: left < 0 and entries.contact.lists > 1)
        await until(lambda: not entries.contact.failure)
        assert (seen, followed.keys("Service")) == ([], {"shop/kept"})
        assert REFLECT.doubted_seconds < REFLECT.absent_seconds
