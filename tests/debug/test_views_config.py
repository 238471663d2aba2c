"""What is told of one client: what it was sent."""

import pytest

from tests.helpers.asked_views import names, tell
from tests.helpers.objects import remove
from tests.helpers.served_mesh import ServedMesh, pod
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.debug.question import RefusedError
from xds_server.debug.views_config import config_dump
from xds_server.objects.kubernetes import Pod
from xds_server.objects.policies import AuthorizationPolicy
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Authorization

ID_A = "ztunnel~10.0.0.9~ztunnel-a.istio-system~istio-system.svc.cluster.local#1"
DENY = (
    "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: deny, namespace: shop}, "
    "spec: {action: DENY, selector: {matchLabels: {app: web}}, rules: [{}]}}"
)


class TestConfigDump:
    def test_a_wildcard_client_was_sent_everything(self, mesh: ServedMesh) -> None:
        mesh.connect().subscribe()
        told = tell(config_dump, mesh, client=ID_A)
        assert (told["client"], told["node"], told["behind"]) == (ID_A, "dpu-a", False)
        address = told["types"]["Address"]
        served = mesh.catalog.of(ADDRESS)
        assert names(address["resources"]) == sorted(served.resources)
        assert names(address["resources"], "version") == [
            served.versions[name] for name in sorted(served.resources)
        ]
        assert address["resources"][0]["message"]["workload"]["name"] == "web-1"
        assert address["resources"][-1]["message"]["service"]["name"] == "db"

    def test_an_on_demand_client_was_sent_what_its_names_stand_for(self, mesh: ServedMesh) -> None:
        mesh.connect(node="elsewhere").subscribe("/10.96.0.1", "/10.0.0.3", "/10.99.99.99")
        told = tell(config_dump, mesh, client="1")["types"]["Address"]
        assert not told["wildcard"]
        assert names(told["resources"]) == [
            "Kubernetes//Pod/shop/web-1",
            "Kubernetes//Pod/shop/web-2",
            "Kubernetes//Pod/store/db-1",
            "shop/web.shop.svc.cluster.local",
        ]

    def test_policies_and_bare_workloads_are_told_as_their_own_messages(self, mesh: ServedMesh) -> None:
        body = Authorization(name="deny", namespace="shop").SerializeToString()
        mesh.catalog.of(AUTHORIZATION).apply({"shop/deny": body}, 1)
        stream = mesh.connect()
        stream.subscribe(type_url=AUTHORIZATION)
        stream.subscribe("Kubernetes//Pod/store/db-1", type_url=WORKLOAD)
        types = tell(config_dump, mesh, client="1")["types"]
        assert types["Authorization"]["resources"][0]["message"] == {"name": "deny", "namespace": "shop"}
        assert {"db-1"} <= {entry["message"]["name"] for entry in types["Workload"]["resources"]}

    def test_what_a_client_is_still_to_be_sent_is_pending(self, mesh: ServedMesh) -> None:
        mesh.connect().subscribe()
        mesh.put(pod("web-1", "10.0.0.1", node="plain"))
        remove(mesh.registry, Pod, "shop/web-2")
        mesh.catalog.publish()
        told = tell(config_dump, mesh, client="1")
        address = told["types"]["Address"]
        assert (told["behind"], address["behind"]) == (True, True)
        pending = [entry["name"] for entry in address["resources"] if entry.get("pending")]
        assert pending == ["Kubernetes//Pod/shop/web-1"]
        assert address["pendingRemovals"] == ["Kubernetes//Pod/shop/web-2"]

    def test_a_policy_that_leaves_after_the_addresses_is_pending_until_then(self, mesh: ServedMesh) -> None:
        mesh.put(DENY)
        stream = mesh.connect()
        for type_url in (ADDRESS, AUTHORIZATION):
            stream.subscribe(type_url=type_url)
        remove(mesh.registry, AuthorizationPolicy, "shop/deny")
        mesh.catalog.publish()
        assert stream.session.next_response(1_004.0) is not None
        told = tell(config_dump, mesh, client="1")["types"]
        assert not told["Address"]["behind"]
        assert told["Authorization"]["behind"]
        assert told["Authorization"]["pendingRemovals"] == ["shop/deny"]
        stream.receive()
        told = tell(config_dump, mesh, client="1")["types"]["Authorization"]
        assert (told["behind"], told["pendingRemovals"]) == (False, [])

    def test_of_removals_an_on_demand_client_waits_only_for_its_own(self, mesh: ServedMesh) -> None:
        mesh.connect(node="elsewhere").subscribe("Kubernetes//Pod/shop/web-1")
        for name in ("web-1", "web-2"):
            remove(mesh.registry, Pod, f"shop/{name}")
        mesh.catalog.publish()
        told = tell(config_dump, mesh, client="1")["types"]["Address"]
        assert told["pendingRemovals"] == ["Kubernetes//Pod/shop/web-1"]

    def test_a_client_that_was_sent_nothing_has_nothing(self, mesh: ServedMesh) -> None:
        stream = mesh.connect()
        stream.subscribe(type_url=AUTHORIZATION)
        stream.session.open_subscription(ADDRESS).wildcard = True
        assert tell(config_dump, mesh, client="1")["types"]["Address"]["resources"] == []

    @pytest.mark.parametrize("wanted", ["Address", ADDRESS])
    def test_its_filters_pick_by_type_and_part_of_a_name(self, mesh: ServedMesh, wanted: str) -> None:
        stream = mesh.connect()
        stream.subscribe()
        stream.subscribe(type_url=AUTHORIZATION)
        types = tell(config_dump, mesh, client="1", type=wanted, name="store/")["types"]
        assert list(types) == ["Address"]
        assert names(types["Address"]["resources"]) == [
            "Kubernetes//Pod/store/db-1",
            "store/db.store.svc.cluster.local",
        ]

    @pytest.mark.parametrize(
        ("asked", "status"),
        [
            ({}, 400),
            ({"client": ""}, 400),
            ({"client": "nobody"}, 404),
            ({"client": "1", "type": "Secret"}, 400),
            ({"client": "ztunnel-a.istio-system"}, 409),
        ],
    )
    def test_it_refuses_what_names_not_one_client_or_no_type(
        self, mesh: ServedMesh, asked: dict[str, str], status: int
    ) -> None:
        for _ in range(2):
            mesh.connect().subscribe()
        with pytest.raises(RefusedError) as refused:
            tell(config_dump, mesh, **asked)
        assert refused.value.status == status
        if status == 409:
            assert refused.value.details == {"clients": [ID_A, ID_A.replace("#1", "#2")]}
