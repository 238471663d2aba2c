"""The state-of-the-world variant, one rule of the protocol a test."""

import pytest

from tests.helpers.addresses import ServedMesh, service, workload
from tests.helpers.session_pair import StatePair
from tests.helpers.wire import Received
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.exceptions import SlowPeerError
from xds_server.sessions.acknowledgement import SyncState, Verdict

POD = "Kubernetes//Pod/ns/pod"
OTHER = "Kubernetes//Pod/ns/other"
WEB = "ns/web"
ALL = {POD, OTHER, WEB}


@pytest.fixture
def mesh() -> ServedMesh:
    return ServedMesh(
        workload(POD, ips=["10.0.0.1"], services=[WEB]),
        workload(OTHER, ips=["10.0.0.2"]),
        service(WEB, vips=["10.96.0.1"]),
    )


@pytest.fixture
def pair(mesh: ServedMesh) -> StatePair:
    return StatePair(mesh)


def told(pair: StatePair, response: Received) -> set[str]:
    """Names of the resources of a response, each of which must be in its present state."""
    names = {address.body: name for name, address in pair.mesh.addresses.items()}
    assert {entry.type_url for entry in response.entries} <= {ADDRESS}
    return {names[entry.body] for entry in response.entries}


@pytest.mark.parametrize("names", [[], ["*"], ["*", "*", POD]])
def test_a_wildcard_gets_everything_and_everything_again_at_every_change(
    pair: StatePair, names: list[str]
) -> None:
    assert told(pair, pair.ask(names)) == ALL
    pair.mesh.publish(workload("new"), workload(POD, "v2"), without=[OTHER])
    assert told(pair, pair.expect()) == {POD, WEB, "new"}


@pytest.mark.parametrize("type_url", [ADDRESS, AUTHORIZATION, WORKLOAD, "unknown"])
def test_the_first_request_of_a_type_with_nothing_in_it_is_answered_empty(type_url: str) -> None:
    pair = StatePair(ServedMesh())
    pair.send(type_url=type_url)
    response = pair.expect()
    assert (response.type_url, response.entries) == (type_url, [])
    assert response.nonce
    assert response.version


def test_the_version_tells_the_content(pair: StatePair) -> None:
    first = pair.ask().version
    pair.mesh.publish(workload(POD, "v2"))
    second = pair.expect().version
    pair.mesh.publish(workload(POD, ips=["10.0.0.1"], services=[WEB]))
    assert first != second
    assert pair.expect().version == first
    assert StatePair(ServedMesh(*pair.mesh.addresses.values())).ask().version == first


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([POD], {POD}),
        ([POD, POD, "unknown"], {POD}),
        (["/10.0.0.2"], {OTHER}),
        ([WEB], {WEB, POD}),
        (["/10.96.0.1", "/10.0.0.1"], {WEB, POD}),
        (["unknown", "/10.9.9.9"], set()),
    ],
)
def test_names_are_answered_with_what_they_stand_for(
    pair: StatePair, names: list[str], found: set[str]
) -> None:
    assert told(pair, pair.ask(names)) == found


def test_names_are_answered_with_all_of_it_when_any_of_it_changes(pair: StatePair) -> None:
    pair.ask([POD, OTHER])
    pair.mesh.publish(workload(POD, "v2"))
    assert told(pair, pair.expect()) == {POD, OTHER}
    pair.mesh.publish(workload("new"))
    assert pair.silent


def test_a_name_unknown_when_asked_for_is_followed_until_it_appears(pair: StatePair) -> None:
    pair.ask(["new", "/10.0.0.9"])
    pair.mesh.publish(workload("new"))
    assert told(pair, pair.expect()) == {"new"}
    pair.mesh.publish(service("ns/new", vips=["10.0.0.9"]))
    assert told(pair, pair.expect()) == {"new", "ns/new"}


def test_what_is_gone_is_absent(pair: StatePair) -> None:
    pair.ask([POD])
    pair.mesh.publish(without=[POD])
    assert told(pair, pair.expect()) == set()


def test_names_stand_for_what_they_do_now(pair: StatePair) -> None:
    pair.ask(["/10.0.0.1", WEB])
    pair.mesh.publish(workload("heir", ips=["10.0.0.1"]), workload(OTHER, services=[WEB]), without=[POD])
    assert told(pair, pair.expect()) == {"heir", WEB, OTHER}


def test_a_name_added_is_answered(pair: StatePair) -> None:
    response = pair.ask([POD])
    pair.send([POD, OTHER], nonce=response.nonce)
    assert told(pair, pair.expect()) == {POD, OTHER}


@pytest.mark.parametrize("name", [OTHER, "unknown"])
def test_a_name_added_with_a_stale_nonce_is_answered(pair: StatePair, name: str) -> None:
    pair.ask([POD])
    assert pair.send([POD, name], nonce="never sent") is Verdict.STALE
    assert told(pair, pair.expect()) == {POD, name} & ALL


def test_a_name_left_is_not_followed_and_leaving_is_not_answered(pair: StatePair) -> None:
    pair.ask([POD, OTHER])
    pair.send([POD])
    assert pair.silent
    pair.mesh.publish(workload(POD, "v2"))
    assert told(pair, pair.expect()) == {POD}
    pair.mesh.publish(workload(OTHER, "v2"))
    assert pair.silent


def test_a_request_that_repeats_its_names_is_not_answered(pair: StatePair) -> None:
    response = pair.ask([POD, OTHER])
    assert pair.send([OTHER, POD], nonce=response.nonce) is Verdict.ACKNOWLEDGED
    assert pair.silent


def test_no_names_after_some_is_nothing(pair: StatePair) -> None:
    pair.ask([POD])
    pair.send([])
    pair.mesh.publish(workload(POD, "v2"))
    assert told(pair, pair.receive() or Received("", "", "", [], [])) == set()
    pair.mesh.publish(workload(POD, "v3"))
    assert pair.silent


@pytest.mark.parametrize("steps", [[[], ["*", POD], [POD], []], [["*"], []], [["*"], [POD], []], [[POD], []]])
def test_once_a_name_was_given_no_names_is_no_wildcard(pair: StatePair, steps: list[list[str]]) -> None:
    """xDS, "How the client specifies what resources to return": its example, and shorter ways to its end."""
    for names in steps:
        pair.send(names)
        while pair.receive() is not None:
            pass
    pair.mesh.publish(workload(POD, "v2"))
    pair.receive()
    pair.mesh.publish(workload(POD, "v3"), workload("new"))
    assert pair.silent


def test_no_names_goes_on_being_a_wildcard_where_no_name_was_ever_given(pair: StatePair) -> None:
    response = pair.ask()
    pair.send([], nonce=response.nonce)
    assert pair.silent
    pair.mesh.publish(workload("new"))
    assert told(pair, pair.expect()) == ALL | {"new"}


def test_the_star_may_come_later(pair: StatePair) -> None:
    pair.ask([POD])
    assert told(pair, pair.ask(["*"])) == ALL


def test_names_that_replace_the_star_are_answered_and_their_end_is_told(pair: StatePair) -> None:
    pair.ask(["*", POD])
    assert told(pair, pair.ask([POD])) == {POD}
    pair.mesh.publish(without=[POD])
    assert told(pair, pair.expect()) == set()


def test_every_response_of_a_stream_has_a_nonce_of_its_own(pair: StatePair) -> None:
    nonces = [pair.ask(names).nonce for names in ([], [POD], ["*"], [POD], ["*"], [POD, OTHER])]
    pair.mesh.publish(workload(POD, "v2"))
    nonces.append(pair.expect().nonce)
    nonces.append(pair.ask(["*"]).nonce)
    assert len(set(nonces)) == len(nonces)


def test_an_acknowledgement_provokes_nothing(pair: StatePair) -> None:
    response = pair.ask()
    assert pair.send(nonce=response.nonce) is Verdict.ACKNOWLEDGED
    assert pair.silent
    assert pair.acknowledgements().state is SyncState.SYNCED


def test_a_rejection_provokes_nothing_and_its_reason_is_kept(pair: StatePair) -> None:
    response = pair.ask()
    assert pair.send(nonce=response.nonce, error="pod: bad address") is Verdict.REJECTED
    assert pair.silent
    assert pair.acknowledgements().rejection == "pod: bad address"


def test_what_happened_while_a_client_was_slow_is_one_response(pair: StatePair) -> None:
    pair.ask()
    for version in ("v2", "v3"):
        pair.mesh.publish(workload(POD, version))
    assert told(pair, pair.expect()) == ALL


def test_a_wildcard_client_is_never_too_slow(mesh: ServedMesh) -> None:
    """It is sent the whole state, for which no log is needed."""
    mesh = ServedMesh(log_capacity=3)
    pair = StatePair(mesh)
    pair.ask()
    for name in "abcde":
        mesh.publish(workload(name))
    assert told(pair, pair.expect()) == set("abcde")


def test_a_client_of_names_too_slow_for_the_log_is_ended() -> None:
    mesh = ServedMesh(log_capacity=3)
    pair = StatePair(mesh)
    pair.ask(["a"])
    for name in "abcde":
        mesh.publish(workload(name))
    with pytest.raises(SlowPeerError):
        pair.receive()


def test_a_first_answer_needs_no_log() -> None:
    mesh = ServedMesh(log_capacity=3)
    pair = StatePair(mesh)
    pair.send(["a"])
    mesh.publish(*(workload(name) for name in "abcdef"))
    assert told(pair, pair.expect()) == {"a"}


def test_a_state_is_encoded_once_for_all_wildcard_clients(mesh: ServedMesh) -> None:
    served = mesh.catalog.of(ADDRESS)
    pairs = [StatePair(mesh) for _ in range(30)]
    for pair in pairs:
        pair.ask()
    mesh.publish(workload(POD, "v2"))
    for pair in pairs:
        pair.expect()
    assert served.encodings == 2


def test_bare_workloads_are_found_by_the_same_names(mesh: ServedMesh) -> None:
    pair = StatePair(mesh)
    pair.send([WEB, "/10.0.0.2"], type_url=WORKLOAD)
    assert len(pair.expect().entries) == 2


def test_policies_go_out_before_the_workloads_that_name_them(pair: StatePair) -> None:
    for type_url in (WORKLOAD, ADDRESS, AUTHORIZATION):
        pair.send(type_url=type_url)
    order = []
    while (response := pair.receive()) is not None:
        order.append(response.type_url)
    assert order == [AUTHORIZATION, ADDRESS, WORKLOAD]
