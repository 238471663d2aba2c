"""What is told of workloads, services and policies."""

import pytest

from tests.helpers.asked_views import names, tell
from tests.helpers.served_mesh import ServedMesh, pod, service
from xds_server.catalog.resource import AUTHORIZATION
from xds_server.debug.views_addresses import ambientz
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Authorization


class TestAmbientz:
    def test_it_tells_the_messages_as_proto3_json(self, mesh: ServedMesh) -> None:
        told = tell(ambientz, mesh)
        assert sorted(told) == ["policies", "services", "workloads"]
        assert told["workloads"][0] == {
            "uid": "Kubernetes//Pod/shop/web-1",
            "name": "web-1",
            "namespace": "shop",
            "addresses": ["CgAAAQ=="],
            "node": "dpu-a",
            "serviceAccount": "web",
            "clusterId": "Kubernetes",
            "canonicalName": "web",
            "canonicalRevision": "latest",
            "workloadName": "web-1",
            "workloadType": "POD",
            "services": {
                "shop/web.shop.svc.cluster.local": {"ports": [{"servicePort": 80, "targetPort": 8080}]}
            },
        }
        assert told["services"][0]["addresses"] == [{"address": "CmAAAQ=="}]

    def test_workloads_are_in_order_of_their_uid_and_services_of_namespace_and_name(
        self, mesh: ServedMesh
    ) -> None:
        mesh.put(pod("api-9", "10.0.0.9"), service("api", "10.96.0.9"), service("x", "10.96.0.8", "shop-b"))
        told = tell(ambientz, mesh)
        assert names(told["workloads"]) == ["api-9", "web-1", "web-2", "db-1"]
        assert names(told["services"]) == ["api", "web", "x", "db"]

    @pytest.mark.parametrize(
        ("asked", "workloads", "services"),
        [
            ({"node": "dpu-a"}, ["web-1", "db-1"], ["web", "db"]),
            ({"node": "plain"}, ["web-2"], ["web"]),
            ({"node": "cpu-a"}, [], []),
            ({"node": "nowhere"}, [], []),
            ({"ns": "store"}, ["db-1"], ["db"]),
            ({"ns": "stor"}, [], []),
            ({"name": "web"}, ["web-1", "web-2"], ["web"]),
            ({"name": "-1"}, ["web-1", "db-1"], []),
            ({"name": "db.store.svc"}, [], ["db"]),
            ({"name": "Pod"}, [], []),
            ({"node": "dpu-a", "ns": "store"}, ["db-1"], ["db"]),
            ({"node": "dpu-a", "ns": "shop", "name": "web-2"}, [], []),
        ],
    )
    def test_its_filters_pick_by_serving_node_namespace_and_part_of_a_name(
        self, mesh: ServedMesh, asked: dict[str, str], workloads: list[str], services: list[str]
    ) -> None:
        told = tell(ambientz, mesh, **asked)
        assert (names(told["workloads"]), names(told["services"])) == (workloads, services)

    def test_policies_are_told_as_every_node_gets_them(self, mesh: ServedMesh) -> None:
        for namespace, name in (("shop", "deny"), ("store", "allow")):
            body = Authorization(name=name, namespace=namespace, action="DENY").SerializeToString()
            mesh.catalog.of(AUTHORIZATION).apply({f"{namespace}/{name}": body}, 1)
        told = tell(ambientz, mesh, node="plain")["policies"]
        assert told[0] == {"name": "deny", "namespace": "shop", "action": "DENY"}
        assert names(told) == ["deny", "allow"]
        assert names(tell(ambientz, mesh, ns="store")["policies"]) == ["allow"]
        assert names(tell(ambientz, mesh, name="den")["policies"]) == ["deny"]
