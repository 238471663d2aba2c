"""The delta variant without a wildcard: a client follows the names it asked for and was given."""

import pytest
from msgspec.structs import replace

from tests.helpers.addresses import ServedMesh, service, workload
from tests.helpers.session_pair import DeltaPair
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.sessions.acknowledgement import Verdict

POD = "Kubernetes//Pod/ns/pod"
OTHER = "Kubernetes//Pod/ns/other"
LOCAL = "Kubernetes//Pod/ns/local"
WEB = "ns/web"
VIP = "/10.96.0.1"


@pytest.fixture
def mesh() -> ServedMesh:
    return ServedMesh(
        workload(POD, ips=["10.0.0.1"], services=[WEB]),
        workload(OTHER, ips=["10.0.0.2", "2001:db8::2"]),
        service(WEB, vips=["10.96.0.1"]),
        service("ns/empty"),
    )


@pytest.fixture
def pair(mesh: ServedMesh) -> DeltaPair:
    started = DeltaPair(mesh, "n1")
    started.start_on_demand()
    return started


def version(mesh: ServedMesh, name: str) -> str:
    return mesh.catalog.of(ADDRESS).versions[name]


def test_both_stars_mean_nothing_yet(mesh: ServedMesh) -> None:
    response = DeltaPair(mesh).ask(["*"], ["*"])
    assert (response.entries, response.removed) == ([], [])


def test_nothing_yet_means_nothing_later(pair: DeltaPair) -> None:
    pair.mesh.publish(workload(POD, "v2"), workload("new"), without=[OTHER])
    assert pair.silent


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (POD, [POD]),
        ("/10.0.0.2", [OTHER]),
        ("/2001:db8::2", [OTHER]),
        (WEB, [POD, WEB]),
        (VIP, [POD, WEB]),
        ("ns/empty", ["ns/empty"]),
    ],
)
def test_a_name_is_answered_with_what_it_stands_for(pair: DeltaPair, name: str, found: list[str]) -> None:
    response = pair.ask([name])
    assert (response.names, response.removed) == (found, [])


def test_a_resource_is_sent_with_its_aliases(pair: DeltaPair) -> None:
    (entry,) = pair.ask(["/10.0.0.2"]).entries
    assert (entry.name, entry.aliases) == (OTHER, ("/10.0.0.2", "/2001:db8::2"))
    assert entry.version == version(pair.mesh, OTHER)
    assert entry.body == pair.mesh.addresses[OTHER].body


def test_a_range_is_followed_by_its_first_address(pair: DeltaPair) -> None:
    """Its aliases say the range; its name for asking does not, and falls to whoever else has it."""
    of_range = replace(service("ns/a"), aliases=("/10.1.0.0/16",))
    pair.mesh.publish(of_range, service("ns/b", vips=["10.1.0.0"]))
    (entry,) = pair.ask(["/10.1.0.0"]).entries
    assert (entry.name, entry.aliases) == ("ns/a", ("/10.1.0.0/16",))
    pair.mesh.publish(without=["ns/a"])
    response = pair.expect()
    assert (response.names, response.removed) == (["ns/b"], ["ns/a"])
    pair.mesh.publish(of_range)
    assert pair.expect().names == ["ns/a"]


@pytest.mark.parametrize("name", ["/10.9.9.9", "ns/unknown", "unknown", "/", ""])
def test_an_unknown_name_is_answered_as_removed_word_for_word(pair: DeltaPair, name: str) -> None:
    response = pair.ask([name])
    assert (response.entries, response.removed) == ([], [name])


def test_a_name_asked_for_again_is_answered_again(pair: DeltaPair) -> None:
    pair.ask([POD])
    assert pair.ask([POD]).names == [POD]
    pair.ask(["unknown"])
    assert pair.ask(["unknown"]).removed == ["unknown"]


def test_duplicate_names_are_one(pair: DeltaPair) -> None:
    assert pair.ask([POD, POD, "/10.0.0.1", "unknown", "unknown"]).names == [POD]


def test_a_name_left_before_it_was_answered_is_not_sent(pair: DeltaPair) -> None:
    pair.send([POD])
    pair.send([OTHER])
    pair.send([], [POD])
    assert pair.expect().names == [OTHER]
    pair.mesh.publish(workload(POD, "v2"))
    assert pair.silent


def test_several_requests_before_an_answer_get_one_answer(pair: DeltaPair) -> None:
    pair.send([POD])
    pair.send(["unknown"])
    pair.send([OTHER])
    response = pair.expect()
    assert (response.names, response.removed) == (sorted([POD, OTHER]), ["unknown"])


def test_what_was_given_is_followed(pair: DeltaPair) -> None:
    pair.ask([VIP])
    pair.mesh.publish(workload(POD, "v2"), workload(OTHER, "v2"))
    assert pair.expect().names == [POD]
    pair.mesh.publish(service(WEB, "v2", vips=["10.96.0.1"]))
    assert pair.expect().names == [WEB]
    pair.mesh.publish(without=[POD, OTHER])
    assert pair.expect().removed == [POD]


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("new", workload("new")),
        ("/10.0.0.9", workload("new", ips=["10.0.0.9"])),
        ("ns/new", service("ns/new")),
        ("/10.96.0.9", service("ns/new", vips=["10.96.0.9"])),
    ],
)
def test_a_name_unknown_when_asked_for_is_followed_until_it_appears(
    pair: DeltaPair, name: str, address: object
) -> None:
    pair.ask([name])
    pair.mesh.publish(address)  # type: ignore[arg-type]
    response = pair.expect()
    assert len(response.entries) == 1


def test_a_name_removed_is_followed_until_it_returns(pair: DeltaPair) -> None:
    pair.ask([POD])
    pair.mesh.publish(without=[POD])
    assert pair.expect().removed == [POD]
    pair.mesh.publish(workload(POD))
    assert pair.expect().names == [POD]


@pytest.mark.parametrize("name", [WEB, VIP])
def test_a_workload_that_joins_a_followed_service_is_sent(pair: DeltaPair, name: str) -> None:
    pair.ask([name])
    pair.mesh.publish(workload("late", services=[WEB]))
    assert pair.expect().names == ["late"]
    pair.mesh.publish(workload(OTHER, services=[WEB]))
    assert pair.expect().names == [OTHER]
    pair.mesh.publish(workload(OTHER))
    assert pair.expect().names == [OTHER]


def test_a_service_that_returns_brings_its_workloads(pair: DeltaPair) -> None:
    pair.ask(["ns/new"])
    pair.mesh.publish(workload(OTHER, services=["ns/new"]), service("ns/new"))
    assert pair.expect().names == [OTHER, "ns/new"]


def test_a_service_that_appears_brings_the_workloads_that_waited_for_it(pair: DeltaPair) -> None:
    pair.mesh.publish(workload("early", services=["ns/new"]))
    assert pair.silent
    assert pair.ask(["ns/new"]).removed == ["ns/new"]
    pair.mesh.publish(service("ns/new"))
    assert pair.expect().names == ["early", "ns/new"]


def test_an_address_that_moves_is_followed(pair: DeltaPair) -> None:
    pair.ask(["/10.0.0.1"])
    pair.mesh.publish(workload("heir", ips=["10.0.0.1"]), without=[POD])
    response = pair.expect()
    assert (response.names, response.removed) == (["heir"], [POD])


def test_an_address_falls_to_whoever_else_has_it(pair: DeltaPair) -> None:
    """The heir did not change: it was there all the time, behind the one that went."""
    pair.mesh.publish(
        service("ns/a", vips=["10.96.0.7"]),
        service("ns/b", vips=["10.96.0.7"]),
        workload("w", ips=["10.96.0.7"]),
        workload("member", services=["ns/b"]),
    )
    assert pair.ask(["/10.96.0.7"]).names == ["w"]
    pair.mesh.publish(workload("w"))
    assert pair.expect().names == ["ns/a", "w"]
    pair.mesh.publish(without=["ns/a"])
    response = pair.expect()
    assert (response.names, response.removed) == (["member", "ns/b"], ["ns/a"])


def test_a_name_left_is_followed_no_more_and_leaving_is_not_answered(pair: DeltaPair) -> None:
    pair.ask([POD, OTHER])
    pair.send([], [POD, "unknown"])
    assert pair.silent
    pair.mesh.publish(workload(POD, "v2"), workload(OTHER, "v2"))
    assert pair.expect().names == [OTHER]


def test_a_name_left_and_asked_for_again_is_answered(pair: DeltaPair) -> None:
    pair.ask([POD])
    pair.send([], [POD])
    assert pair.ask([POD]).names == [POD]


def test_workloads_of_the_clients_own_node_are_sent_unasked(mesh: ServedMesh) -> None:
    mesh.publish(workload(LOCAL, node="n1", ips=["10.0.0.7"]))
    pair = DeltaPair(mesh, "n1")
    (entry,) = pair.ask(["*"], ["*"]).entries
    assert (entry.name, entry.aliases) == (LOCAL, ("/10.0.0.7",))
    mesh.publish(workload("second", node="n1"), workload("elsewhere", node="n2"))
    assert pair.expect().names == ["second"]
    mesh.publish(workload(LOCAL, "v2", node="n1"))
    assert pair.expect().names == [LOCAL]
    mesh.publish(workload("second", node="n2"))
    assert pair.expect().names == ["second"]
    mesh.publish(without=[LOCAL])
    assert pair.expect().removed == [LOCAL]


def test_a_client_without_a_node_is_sent_no_workload_unasked(mesh: ServedMesh) -> None:
    mesh.publish(workload("nowhere"))
    assert DeltaPair(mesh).ask(["*"], ["*"]).entries == []


def test_a_returning_client_is_sent_only_what_differs(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh, "n1")
    held = {POD: version(mesh, POD), OTHER: "old", "gone": "old", "ns/empty": version(mesh, "ns/empty")}
    response = pair.ask(["*"], ["*"], versions=held)
    assert (response.names, response.removed) == ([OTHER], ["gone"])


def test_what_a_returning_client_holds_is_followed(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.ask(["*"], ["*"], versions={POD: version(mesh, POD), "gone": "old"})
    mesh.publish(workload(POD, "v2"), workload(OTHER, "v2"), workload("gone"))
    assert pair.expect().names == [POD, "gone"]


def test_a_returning_client_gets_an_answer_to_what_it_still_waits_for(mesh: ServedMesh) -> None:
    """ztunnel lists such names with an empty version; its data path waits for the answer."""
    pair = DeltaPair(mesh)
    response = pair.ask(["*"], ["*"], versions={"/10.0.0.1": "", "/10.9.9.9": "", "ns/unknown": ""})
    assert (response.names, sorted(response.removed)) == ([POD], ["/10.9.9.9", "ns/unknown"])


def test_what_it_still_waits_for_is_answered_though_it_is_held_under_another_name(mesh: ServedMesh) -> None:
    response = DeltaPair(mesh).ask(["*"], ["*"], versions={"/10.0.0.1": "", POD: version(mesh, POD)})
    assert (response.names, response.removed) == ([POD], [])


def test_what_a_service_gained_while_the_client_was_away_is_sent(mesh: ServedMesh) -> None:
    held = {WEB: version(mesh, WEB), POD: version(mesh, POD)}
    mesh.publish(workload("late", services=[WEB]))
    assert DeltaPair(mesh).ask(["*"], ["*"], versions=held).names == ["late"]


def test_names_held_and_left_in_one_request_are_not_followed(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    response = pair.ask([OTHER], [POD], versions={POD: "old"})
    assert (response.names, response.removed) == ([OTHER], [])
    mesh.publish(workload(POD, "v2"))
    assert pair.silent


def test_names_count_whatever_the_nonce(pair: DeltaPair) -> None:
    assert pair.send([POD], nonce="never sent") is Verdict.STALE
    assert pair.expect().names == [POD]
    assert pair.send([], [POD], nonce="never sent") is Verdict.STALE
    pair.mesh.publish(workload(POD, "v2"))
    assert pair.silent


def test_bare_workloads_are_found_by_the_same_names(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send(["/10.0.0.1", WEB, "/10.0.0.2", "ns/empty"], type_url=WORKLOAD)
    response = pair.expect()
    assert (response.names, response.removed) == (sorted([POD, OTHER]), ["ns/empty"])


def test_policies_are_found_by_their_names_alone(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send([POD, VIP], type_url=AUTHORIZATION)
    response = pair.expect()
    assert (response.entries, sorted(response.removed)) == ([], sorted([POD, VIP]))


def test_answers_for_one_client_alone_carry_nonces_of_their_own(pair: DeltaPair) -> None:
    nonces = [pair.ask([POD]).nonce for _ in range(10)]
    pair.mesh.publish(workload(POD, "v2"))
    nonces.append(pair.expect().nonce)
    assert len(set(nonces)) == 11
    assert pair.send(nonce=nonces[-1]) is Verdict.ACKNOWLEDGED


def test_a_change_of_what_nobody_follows_costs_no_encoding(pair: DeltaPair) -> None:
    pair.ask([POD])
    before = pair.mesh.catalog.of(ADDRESS).encodings
    pair.mesh.publish(workload(OTHER, "v2"))
    assert pair.silent
    assert pair.mesh.catalog.of(ADDRESS).encodings == before
