"""The delta variant with a wildcard, one rule of the protocol a test."""

import pytest

from tests.helpers.addresses import ServedMesh, service, workload
from tests.helpers.session_pair import DeltaPair
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.exceptions import SlowPeerError
from xds_server.sessions.acknowledgement import SyncState, Verdict

POD = "Kubernetes//Pod/ns/pod"
OTHER = "Kubernetes//Pod/ns/other"
WEB = "ns/web"


@pytest.fixture
def mesh() -> ServedMesh:
    return ServedMesh(
        workload(POD, ips=["10.0.0.1"], services=[WEB]),
        workload(OTHER, ips=["10.0.0.2"]),
        service(WEB, vips=["10.96.0.1"]),
    )


@pytest.fixture
def pair(mesh: ServedMesh) -> DeltaPair:
    return DeltaPair(mesh)


def versions(mesh: ServedMesh) -> dict[str, str]:
    return dict(mesh.catalog.of(ADDRESS).versions)


@pytest.mark.parametrize("subscribe", [[], ["*"], ["*", "*"]])
def test_a_wildcard_gets_everything(pair: DeltaPair, subscribe: list[str]) -> None:
    response = pair.ask(subscribe)
    assert (response.names, response.removed) == (sorted([POD, OTHER, WEB]), [])
    assert {entry.name: entry.body for entry in response.entries} == {
        name: address.body for name, address in pair.mesh.addresses.items()
    }
    assert {entry.name: entry.version for entry in response.entries} == versions(pair.mesh)
    assert {entry.aliases for entry in response.entries} == {()}


@pytest.mark.parametrize("type_url", [ADDRESS, AUTHORIZATION, WORKLOAD, "unknown"])
def test_the_first_request_of_a_type_with_nothing_in_it_is_answered_empty(type_url: str) -> None:
    pair = DeltaPair(ServedMesh())
    pair.send(type_url=type_url)
    response = pair.expect()
    assert (response.type_url, response.entries, response.removed) == (type_url, [], [])
    assert response.nonce


def test_a_change_is_sent_alone(pair: DeltaPair) -> None:
    pair.ask()
    pair.mesh.publish(workload(POD, "v2"), workload("new"), without=[OTHER])
    response = pair.expect()
    assert (response.names, response.removed) == ([POD, "new"], [OTHER])


def test_an_acknowledgement_provokes_nothing(pair: DeltaPair) -> None:
    response = pair.ask()
    assert pair.send(nonce=response.nonce) is Verdict.ACKNOWLEDGED
    assert pair.silent
    assert pair.acknowledgements().state is SyncState.SYNCED


def test_a_rejection_provokes_nothing_and_its_reason_is_kept(pair: DeltaPair) -> None:
    response = pair.ask()
    assert pair.send(nonce=response.nonce, error="pod: bad address") is Verdict.REJECTED
    assert pair.silent
    assert pair.acknowledgements().rejection == "pod: bad address"
    assert pair.acknowledgements().state is SyncState.REJECTED


def test_a_rejected_body_is_not_sent_again_until_it_changes(pair: DeltaPair) -> None:
    pair.send(nonce=pair.ask().nonce, error=f"{POD}: bad address")
    pair.mesh.publish(workload(OTHER, "v2"))
    response = pair.expect()
    assert response.names == [OTHER]
    pair.send(nonce=response.nonce)
    pair.mesh.publish(workload(POD, "v2"))
    assert pair.expect().names == [POD]


def test_workloads_come_once_more_with_a_service_that_now_takes_them_though_not_ready(
    pair: DeltaPair,
) -> None:
    """ztunnel keeps no workload that is not ready as an endpoint, and does not look again of itself."""
    pair.ask()
    pair.mesh.publish(service(WEB, vips=["10.96.0.1"], admits_unready=True))
    assert pair.expect().names == [POD, WEB]


def test_they_come_once_more_to_a_client_that_was_away_too(pair: DeltaPair) -> None:
    held = versions(pair.mesh)
    pair.mesh.publish(service(WEB, vips=["10.96.0.1"], admits_unready=True))
    assert pair.ask(versions=held).names == [POD, WEB]
    back = DeltaPair(pair.mesh)
    assert back.ask(versions=versions(pair.mesh)).names == []


def test_what_happened_while_a_client_was_slow_is_sent_as_one_sum(pair: DeltaPair) -> None:
    pair.ask()
    for version in ("v2", "v3", "v4"):
        pair.mesh.publish(workload(POD, version), workload("brief", version))
    pair.mesh.publish(without=["brief", OTHER])
    response = pair.expect()
    assert (response.names, sorted(response.removed)) == ([POD], sorted([OTHER, "brief"]))
    assert response.entries[0].body == pair.mesh.addresses[POD].body


def test_responses_need_no_acknowledgement_to_follow_each_other(pair: DeltaPair) -> None:
    nonces = {pair.ask().nonce}
    for number in range(5):
        pair.mesh.publish(workload(POD, str(number)))
        nonces.add(pair.expect().nonce)
    assert len(nonces) == 6


def test_a_returning_client_that_holds_everything_is_sent_nothing(pair: DeltaPair) -> None:
    response = pair.ask(versions=versions(pair.mesh))
    assert (response.entries, response.removed) == ([], [])


def test_a_returning_client_is_sent_what_it_lacks_and_told_what_is_gone(pair: DeltaPair) -> None:
    held = versions(pair.mesh) | {POD: "other", "gone": "x", "gone too": ""}
    del held[OTHER]
    response = pair.ask(versions=held)
    assert (response.names, sorted(response.removed)) == (sorted([POD, OTHER]), ["gone", "gone too"])


def test_an_empty_version_is_never_the_present_one(pair: DeltaPair) -> None:
    response = pair.ask(versions=dict.fromkeys(pair.mesh.addresses, ""))
    assert response.names == sorted(pair.mesh.addresses)


def test_removals_are_what_was_held_and_is_gone_whatever_else_went(pair: DeltaPair) -> None:
    """The mesh changes between the request and its answer: what the client never held is not its matter."""
    pair.send(versions={POD: versions(pair.mesh)[POD]})
    pair.mesh.publish(without=[POD, OTHER])
    response = pair.expect()
    assert (response.names, response.removed) == ([WEB], [POD])


def test_a_star_among_the_held_names_is_a_wildcard_and_no_resource(pair: DeltaPair) -> None:
    response = pair.ask([POD], versions={"*": ""})
    assert (response.names, response.removed) == (sorted(pair.mesh.addresses), [])


def test_a_returning_client_hears_of_later_changes_as_any_other(pair: DeltaPair) -> None:
    pair.ask(versions=versions(pair.mesh))
    pair.mesh.publish(workload(POD, "v2"))
    assert pair.expect().names == [POD]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (POD, [POD]),
        ("/10.0.0.1", [POD]),
        (WEB, [POD, WEB]),
        ("/10.96.0.1", [POD, WEB]),
    ],
)
def test_a_name_asked_for_beside_a_wildcard_is_answered_though_it_is_held(
    pair: DeltaPair, name: str, found: list[str]
) -> None:
    pair.ask()
    response = pair.ask([name])
    assert (response.names, response.removed) == (found, [])
    pair.mesh.publish(workload(OTHER, "v2"))
    assert pair.expect().names == [OTHER]


def test_a_name_asked_for_with_the_first_request_is_answered_though_it_is_held(pair: DeltaPair) -> None:
    response = pair.ask(["*", POD, "unknown"], versions=versions(pair.mesh))
    assert (response.names, response.removed) == ([POD], ["unknown"])


def test_an_unknown_name_is_answered_as_removed(pair: DeltaPair) -> None:
    pair.ask()
    response = pair.ask(["unknown", "/10.9.9.9"])
    assert (response.names, sorted(response.removed)) == ([], ["/10.9.9.9", "unknown"])


@pytest.mark.parametrize("name", [POD, "unknown"])
def test_a_name_left_under_a_wildcard_is_answered_with_what_it_is_now(pair: DeltaPair, name: str) -> None:
    pair.ask(["*", name])
    response = pair.ask([], [name])
    assert response.names + response.removed == [name]


def test_names_count_whatever_the_nonce(pair: DeltaPair) -> None:
    pair.ask()
    assert pair.send([POD], nonce="never sent") is Verdict.STALE
    assert pair.expect().names == [POD]


def test_names_count_in_a_rejection_too(pair: DeltaPair) -> None:
    response = pair.ask()
    assert pair.send([POD], nonce=response.nonce, error="no") is Verdict.REJECTED
    assert pair.expect().names == [POD]


def test_the_star_may_come_later(pair: DeltaPair) -> None:
    assert pair.ask([POD]).names == [POD]
    assert pair.ask(["*"]).names == sorted(pair.mesh.addresses)
    pair.mesh.publish(workload(OTHER, "v2"))
    assert pair.expect().names == [OTHER]


def test_what_went_while_names_were_followed_is_removed_when_the_star_comes(pair: DeltaPair) -> None:
    pair.ask([POD])
    pair.send(["*"])
    pair.mesh.publish(without=[POD])
    response = pair.expect()
    assert (response.names, response.removed) == (sorted([OTHER, WEB]), [POD])


def test_a_second_star_changes_nothing(pair: DeltaPair) -> None:
    pair.ask(["*"])
    pair.send(["*"])
    assert pair.silent


def test_both_stars_in_a_later_request_change_nothing(pair: DeltaPair) -> None:
    pair.ask()
    pair.send(["*"], ["*"])
    assert pair.silent
    pair.mesh.publish(workload("new"))
    assert pair.expect().names == ["new"]


def test_the_protocols_own_example_of_leaving_the_wildcard(pair: DeltaPair) -> None:
    """xDS, "How the client specifies what resources to return": its example for the incremental variant."""
    assert pair.ask().names == sorted(pair.mesh.addresses)
    assert pair.ask([OTHER]).names == [OTHER]
    pair.send([], ["*"])
    assert pair.expect().names == [OTHER]
    pair.mesh.publish(workload(POD, "v2"), workload(OTHER, "v2"))
    assert pair.expect().names == [OTHER]
    pair.send([], [OTHER])
    pair.mesh.publish(workload(POD, "v3"), workload(OTHER, "v3"))
    assert pair.silent


def test_a_name_kept_on_the_way_out_of_the_wildcard_is_followed_by_what_it_stands_for(
    pair: DeltaPair,
) -> None:
    pair.ask(["*", "/10.0.0.2"])
    assert pair.ask([], ["*"]).names == [OTHER]
    pair.mesh.publish(without=[OTHER])
    assert pair.expect().removed == [OTHER]


def test_policies_go_out_before_the_workloads_that_name_them(pair: DeltaPair) -> None:
    pair.send(type_url=WORKLOAD)
    pair.send(type_url=ADDRESS)
    pair.send(type_url=AUTHORIZATION)
    pair.send(type_url="unknown")
    order = []
    while (response := pair.receive()) is not None:
        order.append(response.type_url)
    assert order == [AUTHORIZATION, ADDRESS, WORKLOAD, "unknown"]


def test_types_on_one_stream_know_nothing_of_each_other(pair: DeltaPair) -> None:
    pair.ask()
    pair.send(type_url=WORKLOAD)
    workloads = pair.expect()
    assert workloads.names == sorted([POD, OTHER])
    assert pair.send(type_url=ADDRESS, nonce=f"{workloads.nonce}.9") is Verdict.STALE
    assert pair.acknowledgements(WORKLOAD).state is SyncState.SENT
    pair.mesh.publish(service(WEB, "v2"))
    assert pair.expect().type_url == ADDRESS


def test_a_change_is_encoded_once_for_all_clients_of_a_type(mesh: ServedMesh) -> None:
    served = mesh.catalog.of(ADDRESS)
    pairs = [DeltaPair(mesh) for _ in range(50)]
    for pair in pairs:
        pair.ask()
    assert served.encodings == 1
    for number in range(3):
        mesh.publish(workload(POD, str(number)))
        for pair in pairs:
            assert pair.expect().names == [POD]
    assert served.encodings == 4


def test_a_client_that_was_slow_costs_one_more_encoding(mesh: ServedMesh) -> None:
    served = mesh.catalog.of(ADDRESS)
    quick, slow, slow_too = (DeltaPair(mesh) for _ in range(3))
    for pair in (quick, slow, slow_too):
        pair.ask()
    mesh.publish(workload(POD, "v2"))
    quick.expect()
    mesh.publish(workload(OTHER, "v2"))
    for pair in (quick, slow, slow_too):
        pair.expect()
    assert served.encodings == 1 + 1 + 2


def test_a_client_too_slow_for_the_log_is_ended_and_may_return() -> None:
    mesh = ServedMesh(workload("a"), log_capacity=3)
    pair = DeltaPair(mesh)
    held = {entry.name: entry.version for entry in pair.ask().entries}
    for name in "bcde":
        mesh.publish(workload(name))
    with pytest.raises(SlowPeerError, match=r"too slow: changes of .*Address since 1 are forgotten"):
        pair.receive()
    back = DeltaPair(mesh)
    assert back.ask(versions=held).names == ["b", "c", "d", "e"]


def test_a_first_answer_needs_no_log() -> None:
    """A client that came before the mesh was loaded, or that was made to wait, is not a slow one."""
    mesh = ServedMesh(log_capacity=3)
    wildcard, on_demand, returning = (DeltaPair(mesh) for _ in range(3))
    wildcard.send()
    on_demand.send(["a", "unknown"])
    returning.send(versions={"a": "old", "gone": "old"})
    mesh.publish(*(workload(name) for name in "abcdef"))
    assert wildcard.expect().names == list("abcdef")
    answer = on_demand.expect()
    assert (answer.names, answer.removed) == (["a"], ["unknown"])
    answer = returning.expect()
    assert (answer.names, answer.removed) == (list("abcdef"), ["gone"])


def test_what_went_is_removed_when_the_star_comes_to_an_empty_mesh() -> None:
    mesh = ServedMesh(workload(POD))
    pair = DeltaPair(mesh)
    pair.ask([POD])
    mesh.publish(without=[POD])
    assert pair.ask(["*"]).removed == [POD]
