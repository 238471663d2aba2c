"""The kinds of Istio and of the Gateway API, installed after the server began to look for them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import config_map, crds, namespace
from tests.helpers.followed_cluster import following_cluster, until
from xds_server.sources.kubernetes.kinds import istio_kinds, mesh_kinds

GROUPS = ("networking.istio.io", "security.istio.io", "gateway.networking.k8s.io")
KINDS = {
    "ServiceEntry": "shop/x",
    "WorkloadEntry": "shop/x",
    "AuthorizationPolicy": "shop/x",
    "PeerAuthentication": "shop/x",
    "Gateway": "shop/x",
    "GatewayClass": "x",
}


def definitions() -> list[dict[str, Any]]:
    return [one for one in crds() if one["spec"]["group"] in GROUPS]


def item(api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": "x"} if kind == "GatewayClass" else {"name": "x", "namespace": "shop"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


OBJECTS = [
    item(
        "networking.istio.io/v1beta1", "ServiceEntry", spec={"hosts": ["a.example.com"], "resolution": "DNS"}
    ),
    item("networking.istio.io/v1", "WorkloadEntry", spec={"address": "1.2.3.4"}),
    item("security.istio.io/v1", "AuthorizationPolicy"),
    item("security.istio.io/v1", "PeerAuthentication", spec={"mtls": {"mode": "STRICT"}}),
    item("gateway.networking.k8s.io/v1", "GatewayClass", spec={"controllerName": "example.com/controller"}),
    item(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        spec={"gatewayClassName": "x", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]},
    ),
]


@pytest.fixture
async def cluster(own_api_server: ApiServer) -> AsyncIterator[ApiServer]:
    await own_api_server.apply(namespace("shop"), namespace("istio-system"))
    yield own_api_server


async def test_objects_of_every_kind_are_read_and_served_once_it_is_installed(
    cluster: ApiServer, tmp_path: Path
) -> None:
    kinds = mesh_kinds(istio_kinds("istio-system", "istio"))
    async with following_cluster(cluster, tmp_path, kinds=kinds) as followed:
        await until(lambda: all(one.loaded.is_set() for one in followed.reflectors))
        assert not followed.one("ServiceEntry").contact.installed
        await cluster.apply(*definitions())
        await cluster.apply(*OBJECTS)
        await until(lambda: all(followed.keys(kind) == {key} for kind, key in KINDS.items()))
        names = {row.name for rows in followed.mesh.addresses for _, row in rows.items()}
        assert "shop/a.example.com" in names
        assert "Kubernetes/networking.istio.io/WorkloadEntry/shop/x" in names
        policies = {row.name for rows in followed.mesh.authorizations for _, row in rows.items()}
        assert policies == {"shop/x", "istio-system/istio_converted_static_strict"}
        mesh = "discoverySelectors: [{matchLabels: {mesh: 'on'}}]"
        await cluster.apply(config_map("istio-system/other", mesh=mesh), config_map("shop/istio", mesh=mesh))
        await cluster.apply(config_map("istio-system/istio", mesh=mesh))
        await until(lambda: not any(len(rows) for rows in followed.mesh.addresses))
        assert followed.keys("MeshConfigMap") == {"istio-system/istio"}
