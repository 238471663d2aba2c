"""What is told of clients: how far each is, and what it wants."""

import pytest

from tests.helpers.asked_views import names, tell
from tests.helpers.served_mesh import ServedMesh, pod
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, PREFIX
from xds_server.debug.paths import View
from xds_server.debug.views_clients import adsz, syncz

ID_A = "ztunnel~10.0.0.9~ztunnel-a.istio-system~istio-system.svc.cluster.local#1"


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

    def test_a_client_whose_question_waits_for_its_answer_is_behind(self, mesh: ServedMesh) -> None:
        stream = mesh.connect()
        stream.subscribe(type_url=AUTHORIZATION)
        stream.session.open_subscription(ADDRESS).owes_answer = True
        told = tell(syncz, mesh)["clients"][0]["types"]
        assert (told["Address"]["behind"], told["Authorization"]["behind"]) == (True, False)

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
            "identity": None,
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
