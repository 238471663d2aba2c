"""A policy goes out before the workloads that name it, and leaves after them, whatever else happens."""

from collections.abc import Callable

import pytest

from tests.helpers.addresses import ServedMesh, policy, workload
from tests.helpers.session_pair import DeltaPair, Pair, StatePair
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD

POD = "Kubernetes//Pod/ns/pod"
OLD, NEW = "ns/old", "ns/new"
VARIANTS: list[Callable[[ServedMesh], DeltaPair | StatePair]] = [DeltaPair, StatePair]


def steps(pair: Pair) -> list[tuple[str, list[str], list[str]]]:
    """Everything owed, in order: type, names and removals of each response."""
    told = []
    while (response := pair.receive()) is not None:
        told.append((response.type_url, response.names, sorted(response.removed)))
    return told


@pytest.fixture
def mesh() -> ServedMesh:
    mesh = ServedMesh()
    mesh.stage_policies(policy(OLD))
    mesh.publish(workload(POD, policies=[OLD]))
    return mesh


def ask(mesh: ServedMesh) -> DeltaPair:
    """A client as ztunnel is one, told everything."""
    pair = DeltaPair(mesh)
    for url in (ADDRESS, AUTHORIZATION):
        pair.send(type_url=url)
    steps(pair)
    return pair


def test_a_new_policy_goes_before_the_workload_that_names_it(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    mesh.stage_policies(policy(NEW))
    mesh.publish(workload(POD, policies=[OLD, NEW]))
    assert steps(pair) == [(AUTHORIZATION, [NEW], []), (ADDRESS, [POD], [])]


def test_a_policy_leaves_after_the_workload_that_named_it(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    mesh.stage_policies(without=[OLD])
    mesh.publish(workload(POD))
    assert steps(pair) == [(ADDRESS, [POD], []), (AUTHORIZATION, [], [OLD])]


def test_a_policy_that_replaces_another_is_there_before_the_other_leaves(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    assert steps(pair) == [(AUTHORIZATION, [NEW], []), (ADDRESS, [POD], []), (AUTHORIZATION, [], [OLD])]


@pytest.mark.parametrize("wide", ["NAMESPACE", "GLOBAL"])
def test_a_policy_covers_its_namespace_until_the_workloads_name_it(wide: str) -> None:
    mesh = ServedMesh()
    mesh.stage_policies(policy(OLD, wide))
    mesh.publish(workload(POD))
    pair = ask(mesh)
    mesh.stage_policies(policy(OLD))
    mesh.publish(workload(POD, policies=[OLD]))
    assert steps(pair) == [(ADDRESS, [POD], []), (AUTHORIZATION, [OLD], [])]


@pytest.mark.parametrize("wide", ["NAMESPACE", "GLOBAL"])
def test_a_policy_covers_its_namespace_before_the_workloads_cease_to_name_it(
    mesh: ServedMesh, wide: str
) -> None:
    pair = ask(mesh)
    mesh.stage_policies(policy(OLD, wide))
    mesh.publish(workload(POD))
    assert steps(pair) == [(AUTHORIZATION, [OLD], []), (ADDRESS, [POD], [])]


def test_a_policy_a_slow_client_never_had_goes_before_though_it_changed_since(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    mesh.stage_policies(policy(NEW, "NAMESPACE"))
    mesh.publish(workload(POD, "v2", policies=[OLD]))
    mesh.stage_policies(policy(NEW))
    mesh.publish(workload(POD, policies=[OLD, NEW]))
    assert steps(pair) == [(AUTHORIZATION, [NEW], []), (ADDRESS, [POD], [])]


def test_a_policy_that_went_and_returned_meanwhile_goes_before(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    mesh.stage_policies(without=[OLD])
    mesh.publish(workload(POD))
    mesh.stage_policies(policy(OLD, revision=1))
    mesh.publish(workload(POD, policies=[OLD]))
    assert steps(pair) == [(AUTHORIZATION, [OLD], []), (ADDRESS, [POD], [])]


def test_policies_alone_are_one_response(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.catalog.publish()
    assert steps(pair) == [(AUTHORIZATION, [NEW], [OLD])]


def test_what_is_put_off_is_sent_as_it_is_by_then(mesh: ServedMesh) -> None:
    """The mesh changes while the first parts are written."""
    pair = ask(mesh)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    first = pair.receive()
    assert first is not None
    assert (first.type_url, first.names, first.removed) == (AUTHORIZATION, [NEW], [])
    mesh.stage_policies(policy(OLD, revision=1), without=[NEW])
    mesh.publish(workload(POD, policies=[OLD]))
    assert steps(pair) == [(AUTHORIZATION, [OLD], []), (ADDRESS, [POD], []), (AUTHORIZATION, [], [NEW])]


def test_what_was_put_off_is_not_forgotten_when_more_is(mesh: ServedMesh) -> None:
    mesh.stage_policies(policy(NEW))
    mesh.publish(workload(POD, policies=[OLD, NEW]))
    pair = ask(mesh)
    mesh.stage_policies(without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    first = pair.receive()
    assert first is not None
    assert first.type_url == ADDRESS
    mesh.stage_policies(without=[NEW])
    mesh.publish(workload(POD))
    assert steps(pair) == [(ADDRESS, [POD], []), (AUTHORIZATION, [], [NEW, OLD])]


def test_what_was_put_off_once_is_new_when_it_is_put_off_again(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    nonces = set()
    for revision in (1, 2):
        mesh.stage_policies(policy(OLD, revision=revision))
        mesh.publish(workload(POD, str(revision), policies=[OLD]))
        assert pair.receive() is not None
        last = pair.expect()
        assert [entry.body for entry in last.entries] == [policy(OLD, revision=revision).body]
        nonces.add(last.nonce)
    assert len(nonces) == 2


def test_parts_have_nonces_of_their_own(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    nonces = []
    for number in range(3):
        mesh.stage_policies(policy(f"ns/p{number + 1}"), without=[OLD if number == 0 else f"ns/p{number}"])
        mesh.publish(workload(POD, policies=[f"ns/p{number + 1}"]))
        while (response := pair.receive()) is not None:
            if response.type_url == AUTHORIZATION:
                nonces.append(response.nonce)
    assert len(set(nonces)) == len(nonces) == 6


def test_each_part_is_encoded_once_for_all_clients(mesh: ServedMesh) -> None:
    pairs = [ask(mesh) for _ in range(50)]
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    before = {url: mesh.catalog.of(url).encodings for url in (ADDRESS, AUTHORIZATION)}
    for pair in pairs:
        assert len(steps(pair)) == 3
    assert mesh.catalog.of(ADDRESS).encodings - before[ADDRESS] == 1
    assert mesh.catalog.of(AUTHORIZATION).encodings - before[AUTHORIZATION] == 2


def held(mesh: ServedMesh, url: str) -> dict[str, str]:
    return dict(mesh.catalog.of(url).versions)


def test_a_client_that_returns_gets_no_address_before_it_asked_for_policies(mesh: ServedMesh) -> None:
    addresses, policies = held(mesh, ADDRESS), held(mesh, AUTHORIZATION)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    pair = DeltaPair(mesh)
    pair.send(type_url=ADDRESS, versions=addresses)
    assert pair.session.next_response(0.0) is None
    assert pair.session.waits
    pair.send(type_url=AUTHORIZATION, versions=policies)
    assert not pair.session.waits
    assert steps(pair) == [(AUTHORIZATION, [NEW], []), (ADDRESS, [POD], []), (AUTHORIZATION, [], [OLD])]


def test_a_client_that_returns_and_never_asks_for_policies_gets_its_addresses(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send(type_url=ADDRESS, versions={POD: "other"})
    assert pair.session.next_response(0.0) is None
    pair.session.wait_no_more()
    assert not pair.session.waits
    assert steps(pair) == [(ADDRESS, [POD], [])]


def test_a_client_that_has_nothing_waits_for_nothing(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send(type_url=ADDRESS)
    assert not pair.session.waits
    assert pair.session.next_response(0.0) is not None


def test_a_client_that_returns_and_asked_for_policies_first_waits_for_nothing(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send(type_url=AUTHORIZATION, versions=held(mesh, AUTHORIZATION))
    pair.send(type_url=ADDRESS, versions=held(mesh, ADDRESS))
    assert not pair.session.waits


def test_a_client_is_waited_for_once(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send(type_url=ADDRESS, versions={POD: "other"})
    pair.session.wait_no_more()
    pair.send(type_url=WORKLOAD, versions={POD: "other"})
    assert [pair.session.next_response(0.0) is None for _ in range(3)] == [False, False, True]


def test_a_policy_asked_for_while_it_is_put_off_is_told_once(mesh: ServedMesh) -> None:
    pair = ask(mesh)
    mesh.stage_policies(without=[OLD])
    mesh.publish(workload(POD))
    assert pair.receive() is not None
    pair.send([OLD], type_url=AUTHORIZATION)
    mesh.publish(workload(POD, "v2"))
    assert steps(pair) == [(AUTHORIZATION, [], [OLD]), (ADDRESS, [POD], [])]


def test_who_followed_one_policy_and_takes_all_lacks_the_others(mesh: ServedMesh) -> None:
    mesh.stage_policies(policy(NEW))
    mesh.publish(workload(POD, policies=[OLD, NEW]))
    pair = DeltaPair(mesh)
    pair.send(type_url=ADDRESS)
    pair.send([OLD], type_url=AUTHORIZATION)
    steps(pair)
    mesh.publish(workload(POD, "v2", policies=[OLD, NEW]))
    pair.send(["*"], type_url=AUTHORIZATION)
    assert steps(pair) == [(AUTHORIZATION, [NEW, OLD], []), (ADDRESS, [POD], [])]


def test_a_state_keeps_no_policy_that_is_followed_no_more(mesh: ServedMesh) -> None:
    pair = StatePair(mesh)
    pair.send(type_url=ADDRESS)
    pair.send([OLD], type_url=AUTHORIZATION)
    steps(pair)
    pair.send([NEW], type_url=AUTHORIZATION)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    first = pair.receive()
    assert first is not None
    assert [entry.body for entry in first.entries] == [policy(NEW).body]


def test_policies_followed_by_name_leave_after_addresses_too(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    pair.send(type_url=ADDRESS)
    pair.send([OLD, NEW], type_url=AUTHORIZATION)
    assert steps(pair) == [(AUTHORIZATION, [OLD], [NEW]), (ADDRESS, [POD], [])]
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    assert steps(pair) == [(AUTHORIZATION, [NEW], []), (ADDRESS, [POD], []), (AUTHORIZATION, [], [OLD])]


def test_a_state_keeps_a_policy_until_the_workloads_are_told(mesh: ServedMesh) -> None:
    pair = StatePair(mesh)
    for url in (ADDRESS, AUTHORIZATION):
        pair.send(type_url=url)
    steps(pair)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    told = []
    while (response := pair.receive()) is not None:
        told.append((response.type_url, sorted(entry.body for entry in response.entries)))
    assert told == [
        (AUTHORIZATION, sorted([policy(OLD).body, policy(NEW).body])),
        (ADDRESS, [workload(POD, policies=[NEW]).body]),
        (AUTHORIZATION, [policy(NEW).body]),
    ]


def test_a_state_of_named_policies_is_followed_on_after_it_was_told_in_parts(mesh: ServedMesh) -> None:
    pair = StatePair(mesh)
    pair.send(type_url=ADDRESS)
    pair.send([OLD, NEW], type_url=AUTHORIZATION)
    steps(pair)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    assert [step[0] for step in steps(pair)] == [AUTHORIZATION, ADDRESS, AUTHORIZATION]
    mesh.stage_policies(without=[NEW])
    mesh.catalog.publish()
    assert pair.expect().entries == []


@pytest.mark.parametrize("begin", VARIANTS)
def test_a_policy_that_is_all_a_client_follows_is_told_at_once(
    mesh: ServedMesh, begin: Callable[[ServedMesh], DeltaPair | StatePair]
) -> None:
    pair = begin(mesh)
    pair.send(type_url=AUTHORIZATION)
    steps(pair)
    mesh.stage_policies(without=[OLD])
    mesh.publish(workload(POD))
    assert len(steps(pair)) == 1


def test_bare_workloads_come_after_policies_too(mesh: ServedMesh) -> None:
    pair = DeltaPair(mesh)
    for url in (WORKLOAD, AUTHORIZATION):
        pair.send(type_url=url)
    steps(pair)
    mesh.stage_policies(policy(NEW), without=[OLD])
    mesh.publish(workload(POD, policies=[NEW]))
    assert [step[0] for step in steps(pair)] == [AUTHORIZATION, WORKLOAD, AUTHORIZATION]
