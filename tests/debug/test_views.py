"""What the debug views tell, asked without a socket."""

import json
from typing import Any

import pytest

from tests.helpers.served_mesh import MapState, ServedMesh, pod, service
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, PREFIX, WORKLOAD
from xds_server.debug.json_text import json_slices
from xds_server.debug.paths import View
from xds_server.debug.question import Question, RefusedError
from xds_server.debug.views import errorsz, placementz, registryz
from xds_server.debug.views_addresses import ambientz
from xds_server.debug.views_clients import adsz, syncz
from xds_server.debug.views_config import config_dump
from xds_server.exceptions import Problem
from xds_server.objects.cluster_conf import Pair
from xds_server.objects.kubernetes import KINDS
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Authorization

ID_A = "ztunnel~10.0.0.9~ztunnel-a.istio-system~istio-system.svc.cluster.local#1"


def tell(view: View, mesh: ServedMesh, /, **asked: str) -> Any:
    """Ask a view at second 2,000; return what a reader of its JSON gets."""
    slices = json_slices(lambda: view(mesh.served, Question(asked, 2_000.0)), pretty=False)
    return json.loads(b"".join(slices))


def names(told: Any, key: str = "name") -> list[str]:
    return [item[key] for item in told]


class TestPlacementz:
    def test_it_tells_the_map_in_force_and_what_does_not_fit_it(self, mesh: ServedMesh) -> None:
        mesh.place(Pair("192.0.2.20", "192.0.2.21", "cpu-b"))
        told = tell(placementz, mesh)
        assert told["pairs"] == [
            {
                "cpuNodeIP": "192.0.2.10",
                "cpuNodeName": "cpu-a",
                "dpuNodeIP": "192.0.2.11",
                "dpuNodeName": "dpu-a",
            },
            {"cpuNodeIP": "192.0.2.20", "cpuNodeName": "cpu-b", "dpuNodeIP": "192.0.2.21", "dpuNodeName": ""},
        ]
        assert told["singles"] == [{"nodeIP": "192.0.2.12", "nodeName": "plain"}]
        assert (told["unmapped"], told["unresolved"]) == (["spare"], ["192.0.2.21"])
        (conflict,) = told["conflicts"]
        assert "node spare has label offMeshNodeType=dpu" in conflict

    def test_it_tells_when_and_from_where_the_map_was_loaded(self, mesh: ServedMesh) -> None:
        told = tell(placementz, mesh)
        assert told["path"] == "/etc/offmesh/cluster-conf.yaml"
        assert told["loadedAt"] == "2026-01-02T03:04:05.000Z"
        assert (told["digest"], told["reloads"], told["failedReloads"]) == ("0123456789abcdef", 2, 1)
        assert told["failure"] == []

    def test_it_tells_why_the_last_reload_failed(self, mesh: ServedMesh) -> None:
        mesh.placement.state = MapState(failure=(Problem("conf.yaml:3", "cpuNodeIP", "x", "an IP"),))
        assert tell(placementz, mesh)["failure"] == ["conf.yaml:3: cpuNodeIP is x: expected an IP"]

    def test_before_the_first_load_it_tells_where_the_map_will_be_from(self) -> None:
        told = tell(placementz, ServedMesh())
        assert (told["path"], told["loadedAt"], told["pairs"]) == ("cluster-conf.yaml", None, [])


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


class TestSyncz:
    def test_a_client_is_told_from_its_first_request_to_its_acknowledgement(self, mesh: ServedMesh) -> None:
        stream = mesh.connect()
        stream.subscribe(now=1_001.0)
        told = tell(syncz, mesh)
        (client,) = told["clients"]
        assert (told["version"], told["position"]) == ("0.1.0", mesh.catalog.position)
        assert (client["id"], client["node"], client["pod"]) == (ID_A, "dpu-a", "ztunnel-a.istio-system")
        sent = client["types"]["Address"]
        assert (sent["state"], sent["sent"], sent["nonce"]) == ("SENT", 1, f"{mesh.catalog.position:x}")
        assert (sent["sentAt"], sent["oldestUnansweredSeconds"]) == ("1970-01-01T00:16:41.000Z", 999.0)
        assert (sent["acknowledgedAt"], sent["acknowledgedNonce"]) == (None, "")
        assert sent["bytes"] == len(mesh.catalog.of(ADDRESS).everything().payload)
        stream.answer(now=1_003.0)
        synced = tell(syncz, mesh)["clients"][0]["types"]["Address"]
        assert (synced["state"], synced["acknowledged"]) == ("SYNCED", 1)
        assert (synced["acknowledgedAt"], synced["acknowledgedNonce"]) == (
            "1970-01-01T00:16:43.000Z",
            sent["nonce"],
        )
        assert synced["oldestUnansweredSeconds"] is None

    def test_a_rejection_never_looks_like_success(self, mesh: ServedMesh) -> None:
        stream = mesh.connect()
        stream.subscribe()
        stream.answer(rejection="web-1: bad address", now=1_004.0)
        told = tell(syncz, mesh)["clients"][0]["types"]["Address"]
        assert (told["state"], told["rejection"]) == ("REJECTED", "web-1: bad address")
        assert (told["rejected"], told["rejectedAt"]) == (1, "1970-01-01T00:16:44.000Z")
        assert told["acknowledged"] == 0

    def test_a_client_that_was_not_told_the_present_yet_is_behind(self, mesh: ServedMesh) -> None:
        stream = mesh.connect()
        stream.subscribe()
        stream.answer()
        first = mesh.catalog.position
        mesh.put(pod("web-3", "10.0.0.33"))
        told = tell(syncz, mesh)["clients"][0]["types"]["Address"]
        assert (told["behind"], told["cursor"], told["position"]) == (True, first, first + 1)
        stream.receive()
        told = tell(syncz, mesh)["clients"][0]["types"]["Address"]
        assert (told["behind"], told["cursor"]) == (False, first + 1)

    def test_a_client_is_told_of_before_it_is_sent_anything(self, mesh: ServedMesh) -> None:
        stream = mesh.connect()
        assert tell(syncz, mesh)["clients"][0]["id"] == "unknown#1"
        stream.subscribe(type_url=AUTHORIZATION)
        stream.session.open_subscription(ADDRESS)
        told = tell(syncz, mesh)["clients"][0]["types"]
        assert (told["Authorization"]["state"], told["Address"]["state"]) == ("SENT", "NOT SENT")
        assert told["Address"]["sentAt"] is None

    def test_what_a_client_made_up_is_never_taken_for_a_served_type(self, mesh: ServedMesh) -> None:
        stream = mesh.connect()
        stream.subscribe()
        for url in ("Address", PREFIX + "made.up.Address", "x" * 1_000):
            stream.subscribe(type_url=url)
        told = tell(syncz, mesh)["clients"][0]["types"]
        made_up = ["unknown Address", f"unknown {PREFIX}made.up.Address", "unknown " + "x" * 500]
        assert sorted(told) == sorted(["Address", *made_up])

    @pytest.mark.parametrize("view", [syncz, adsz])
    def test_clients_are_in_order_of_their_ids_and_picked_by_node(self, mesh: ServedMesh, view: View) -> None:
        for name, node in (("b", "plain"), ("a", "dpu-a"), ("b", "plain")):
            mesh.connect(f"ztunnel-{name}", node).subscribe()
        numbers = [client["id"].rpartition("#")[2] for client in tell(view, mesh)["clients"]]
        assert numbers == ["2", "1", "3"]
        assert names(tell(view, mesh, node="dpu-a")["clients"], "node") == ["dpu-a"]


class TestAdsz:
    def test_it_tells_who_is_connected_and_what_each_wants(self, mesh: ServedMesh) -> None:
        stream = mesh.connect(now=1_000.0)
        stream.subscribe()
        stream.subscribe(type_url=PREFIX + "made.up.Type")
        stream.client.writing_since = 1_500.0
        (client,) = tell(adsz, mesh)["clients"]
        subscriptions = client.pop("subscriptions")
        assert client == {
            "id": ID_A,
            "node": "dpu-a",
            "pod": "ztunnel-a.istio-system",
            "peer": "ipv4:192.0.2.1:4000",
            "since": "1970-01-01T00:16:40.000Z",
            "variant": "delta",
            "lastWriteAt": None,
            "writingSince": "1970-01-01T00:25:00.000Z",
            "unknownTypes": 1,
        }
        assert subscriptions["Address"] == {"wildcard": True, "count": 0, "names": []}

    def test_of_many_names_it_tells_the_count_and_the_first_hundred(self, mesh: ServedMesh) -> None:
        asked = [f"A/{number:04}" for number in range(5_000)]
        mesh.connect().subscribe(*asked, "y" * 10_000)
        told = tell(adsz, mesh)["clients"][0]["subscriptions"]["Address"]
        assert (told["wildcard"], told["count"]) == (False, 5_001 + 2)
        assert told["names"] == asked[:100]

    def test_a_name_is_told_only_as_far_as_it_can_be_read(self, mesh: ServedMesh) -> None:
        mesh.connect(node="nowhere").subscribe("y" * 10_000)
        assert tell(adsz, mesh)["clients"][0]["subscriptions"]["Address"]["names"] == ["y" * 500]


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
        with mesh.registry.graph.transaction():
            mesh.registry.of(next(kind for kind in KINDS.values() if kind.__name__ == "Pod")).delete(
                "shop/web-2"
            )
        mesh.catalog.publish()
        told = tell(config_dump, mesh, client="1")
        address = told["types"]["Address"]
        assert (told["behind"], address["behind"]) == (True, True)
        pending = [entry["name"] for entry in address["resources"] if entry.get("pending")]
        assert pending == ["Kubernetes//Pod/shop/web-1"]
        assert address["pendingRemovals"] == ["Kubernetes//Pod/shop/web-2"]

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


class TestRegistryz:
    def test_it_tells_counts_and_no_names_unasked(self, mesh: ServedMesh) -> None:
        told = tell(registryz, mesh)
        assert told["kinds"]["Pod"] == {"count": 3, "synced": False}
        assert told["kinds"]["Pair"]["count"] == 1
        assert (told["files"], told["ignored"]) == ({"mesh.yaml": 5}, {"ConfigMap": 3})

    def test_it_tells_which_kinds_are_not_whole_yet(self, mesh: ServedMesh) -> None:
        for source in mesh.registry:
            source.synced = source.name != "Pod"
        told = tell(registryz, mesh)
        assert told["unsynced"] == ["Pod"]
        assert (told["kinds"]["Pod"]["synced"], told["kinds"]["Node"]["synced"]) == (False, True)

    @pytest.mark.parametrize("kind", ["Pod", "pod"])
    def test_it_tells_the_names_of_a_kind(self, mesh: ServedMesh, kind: str) -> None:
        kinds = tell(registryz, mesh, kind=kind)["kinds"]
        assert {name: told["names"] for name, told in kinds.items()} == {
            "Pod": ["shop/web-1", "shop/web-2", "store/db-1"]
        }

    def test_it_tells_the_names_of_a_namespace(self, mesh: ServedMesh) -> None:
        kinds = tell(registryz, mesh, ns="store")["kinds"]
        assert {name: told["names"] for name, told in kinds.items() if told["count"]} == {
            "Pod": ["store/db-1"],
            "Service": ["store/db"],
        }

    def test_it_tells_every_name_when_asked_for_all(self, mesh: ServedMesh) -> None:
        kinds = tell(registryz, mesh, full="1")["kinds"]
        assert all(len(told["names"]) == told["count"] for told in kinds.values())
        assert kinds["Node"]["names"] == ["cpu-a", "dpu-a", "plain", "spare"]


class TestErrorsz:
    def test_it_tells_refused_inputs_and_what_could_not_be_derived(self, mesh: ServedMesh) -> None:
        mesh.problems.replace("b.yaml", [Problem("b.yaml:7", "Pod shop/x", "true", "a mapping")])
        mesh.problems.replace("a.yaml", [Problem("a.yaml", "file", "", "YAML")])
        mesh.put(pod("broken", "10.0.0.300"))
        told = tell(errorsz, mesh)
        assert told["counts"] == {"inputs": 2, "derived": 1, "reported": 2}
        assert told["inputs"] == [
            {
                "place": "a.yaml",
                "where": "a.yaml",
                "subject": "file",
                "value": "",
                "expected": "YAML",
                "text": "a.yaml: file: expected YAML",
            },
            {
                "place": "b.yaml",
                "where": "b.yaml:7",
                "subject": "Pod shop/x",
                "value": "true",
                "expected": "a mapping",
                "text": "b.yaml:7: Pod shop/x is true: expected a mapping",
            },
        ]
        (derived,) = told["derived"]
        assert (derived["collection"], derived["key"]) == ("pod workloads", "shop/broken")
        assert "10.0.0.300" in derived["reason"]

    def test_its_filter_picks_by_part_of_a_text_or_key(self, mesh: ServedMesh) -> None:
        mesh.problems.replace("a.yaml", [Problem("a.yaml", name, "", "YAML") for name in ("one", "two")])
        mesh.put(pod("broken", "10.0.0.300"))
        told = tell(errorsz, mesh, name="two")
        assert (names(told["inputs"], "subject"), told["derived"]) == (["two"], [])
        told = tell(errorsz, mesh, name="shop/bro")
        assert (told["inputs"], names(told["derived"], "key")) == ([], ["shop/broken"])

    def test_a_file_name_that_is_no_utf8_is_told_all_the_same(self, mesh: ServedMesh) -> None:
        mesh.problems.replace("\udcff.yaml", [Problem("\udcff.yaml", "file", "", "YAML")])
        assert tell(errorsz, mesh)["inputs"][0]["place"] == "\udcff.yaml"
