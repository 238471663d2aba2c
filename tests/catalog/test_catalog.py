"""The catalog: what is staged becomes the next position, for all types together."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.addresses import ServedMesh, policy, service, workload
from tests.helpers.wire import read_delta
from xds_server.catalog.catalog import Catalog
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION, WORKLOAD
from xds_server.mesh.address import Address
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.store.collection import Change

POD = "Kubernetes//Pod/ns/pod"
OTHER = "Kubernetes//Pod/ns/other"
WEB = "ns/web"


def bodies(catalog: Catalog, url: str = ADDRESS) -> dict[str, bytes]:
    """Name -> body of all resources of a type, cut out of their frames by the generated decoder."""
    kind = catalog.of(url)
    message = api.Address if url == ADDRESS else api.Workload
    found = {}
    for entry in read_delta(kind.everything().payload).entries:
        message.FromString(entry.body)
        found[entry.name] = entry.body
    return found


def test_what_is_staged_is_not_seen_before_it_is_published() -> None:
    mesh = ServedMesh(workload(POD))
    mesh.stage(workload(OTHER), without=[POD])
    assert mesh.catalog.has_staged
    assert (set(mesh.catalog.of(ADDRESS).resources), set(mesh.catalog.lookup.addresses)) == ({POD}, {POD})
    mesh.catalog.publish()
    assert (set(mesh.catalog.of(ADDRESS).resources), set(mesh.catalog.lookup.addresses)) == ({OTHER}, {OTHER})
    assert not mesh.catalog.has_staged


def test_a_position_is_one_publication_however_much_was_staged() -> None:
    mesh = ServedMesh()
    mesh.stage(workload(POD))
    mesh.stage(workload(OTHER))
    mesh.stage(workload(POD, "v2"))
    assert mesh.catalog.publish() == 1
    assert mesh.catalog.of(ADDRESS).changed_since(0) == [POD, OTHER]


def test_publishing_nothing_is_no_new_position() -> None:
    mesh = ServedMesh(workload(POD))
    assert mesh.catalog.publish() == mesh.catalog.position == 1


def test_what_was_taken_back_before_publication_is_no_change() -> None:
    mesh = ServedMesh(workload(POD))
    mesh.stage(workload(POD, "v2"), workload(OTHER))
    mesh.publish(workload(POD), without=[OTHER])
    assert mesh.catalog.of(ADDRESS).changed_since(1) == []


def test_a_row_that_changes_its_name_removes_the_old_one() -> None:
    held = workload(POD)
    mesh = ServedMesh(held)
    mesh.catalog.stage_addresses({"row": Change(held, workload(OTHER))})
    mesh.catalog.publish()
    assert set(bodies(mesh.catalog)) == {OTHER}


@pytest.mark.parametrize("rows", [("1", "2"), ("2", "1")])
def test_rows_may_hand_a_name_on_in_one_transaction(rows: tuple[str, str]) -> None:
    first, second = workload(POD), workload(OTHER)
    mesh = ServedMesh(first, second)
    changes = {"1": Change(first, workload(OTHER, "v2")), "2": Change(second, None)}
    mesh.catalog.stage_addresses({row: changes[row] for row in rows})
    mesh.catalog.publish()
    assert bodies(mesh.catalog) == {OTHER: workload(OTHER, "v2").body}


@pytest.mark.parametrize("published_between", [True, False])
@pytest.mark.parametrize("receiver_first", [True, False])
@pytest.mark.parametrize("revision", ["", "v2"])
def test_collections_may_hand_a_name_on_in_any_order(
    revision: str, receiver_first: bool, published_between: bool
) -> None:
    """A service and an entry of its host, say: whichever collection tells its change first."""
    catalog = Catalog()
    given = service(WEB)
    catalog.stage_addresses({"row": Change(None, given)})
    if published_between:
        catalog.publish()
    taken = service(WEB, revision)
    changes = [{"row": Change(given, None)}, {"other": Change(None, taken)}]
    for change in reversed(changes) if receiver_first else changes:
        catalog.stage_addresses(change)
    catalog.publish()
    assert bodies(catalog) == {WEB: taken.body}
    catalog.stage_addresses({"other": Change(taken, None)})
    catalog.publish()
    assert bodies(catalog) == {}


def test_policies_are_published_with_the_addresses_at_one_position() -> None:
    mesh = ServedMesh()
    mesh.stage_policies(policy("ns/p"))
    assert mesh.catalog.has_staged
    assert mesh.publish(workload(POD, policies=["ns/p"])) == 1
    assert [mesh.catalog.of(url).position for url in (AUTHORIZATION, ADDRESS)] == [1, 1]
    mesh.stage_policies(without=["ns/p"])
    assert mesh.catalog.publish() == 2
    assert [mesh.catalog.of(url).position for url in (AUTHORIZATION, ADDRESS)] == [2, 1]
    assert dict(mesh.catalog.of(AUTHORIZATION).resources) == {}
    assert not mesh.catalog.has_staged


@pytest.mark.parametrize("published_between", [True, False])
def test_collections_of_policies_may_hand_a_name_on(published_between: bool) -> None:
    catalog = Catalog()
    given, taken = policy("ns/p"), policy("ns/p")
    catalog.stage_authorizations({"row": Change(None, given)})
    if published_between:
        catalog.publish()
    catalog.stage_authorizations({"other": Change(None, taken)})
    catalog.stage_authorizations({"row": Change(given, None)})
    catalog.publish()
    assert set(catalog.of(AUTHORIZATION).resources) == {"ns/p"}
    catalog.stage_authorizations({"other": Change(taken, None)})
    catalog.publish()
    assert set(catalog.of(AUTHORIZATION).resources) == set()


def test_workloads_are_told_once_more_when_their_service_takes_them_though_not_ready() -> None:
    mesh = ServedMesh(service(WEB), workload(POD, services=[WEB]), workload(OTHER))
    addresses, workloads = (mesh.catalog.of(url) for url in (ADDRESS, WORKLOAD))
    mesh.publish(service(WEB, admits_unready=True))
    assert sorted(addresses.changed_since(1)) == [POD, WEB]
    assert workloads.changed_since(1) == []
    mesh.publish(service(WEB, "v2", admits_unready=True))
    assert addresses.changed_since(2) == [WEB]
    mesh.publish(service(WEB))
    assert addresses.changed_since(3) == [WEB]


def test_workloads_are_told_once_more_when_their_service_returns() -> None:
    mesh = ServedMesh(service(WEB), workload(POD, services=[WEB]))
    mesh.publish(without=[WEB])
    mesh.publish(service(WEB))
    assert sorted(mesh.catalog.of(ADDRESS).changed_since(2)) == [POD, WEB]


def test_workloads_changed_and_changed_back_are_told_once_more_all_the_same() -> None:
    mesh = ServedMesh(service(WEB), workload(POD, services=[WEB]))
    mesh.stage(workload(POD, "v2", services=[WEB]), service(WEB, admits_unready=True))
    mesh.publish(workload(POD, services=[WEB]))
    assert sorted(mesh.catalog.of(ADDRESS).changed_since(1)) == [POD, WEB]


def test_types_are_served_by_name() -> None:
    catalog = Catalog()
    assert [catalog.serves(url) for url in (ADDRESS, AUTHORIZATION, WORKLOAD)] == [True] * 3
    assert not catalog.serves("type.googleapis.com/envoy.config.cluster.v3.Cluster")
    assert not catalog.serves("")


def test_a_type_that_is_not_served_is_empty() -> None:
    mesh = ServedMesh(workload(POD))
    unknown = mesh.catalog.of("unknown")
    assert (unknown.url, unknown.position, dict(unknown.resources)) == ("unknown", 0, {})
    assert "unknown" not in [kind.url for kind in mesh.catalog.types()]


def test_workloads_are_addresses_without_services() -> None:
    big = workload(POD, "x" * 300)
    huge = workload(OTHER, "x" * 20_000)
    catalog = ServedMesh(big, huge, workload(""), service(WEB)).catalog
    found = bodies(catalog, WORKLOAD)
    assert set(found) == {POD, OTHER, ""}
    for address in (big, huge):
        expected = api.Address.FromString(address.body).workload
        assert api.Workload.FromString(found[address.name]) == expected
    assert found[""] == b""


def test_bare_workloads_are_framed_only_when_asked_for() -> None:
    mesh = ServedMesh(workload(POD))
    assert [kind.url for kind in mesh.catalog.types()] == [AUTHORIZATION, ADDRESS]
    mesh.catalog.of(WORKLOAD)
    assert [kind.url for kind in mesh.catalog.types()] == [AUTHORIZATION, ADDRESS, WORKLOAD]


def test_a_change_of_a_service_alone_is_no_change_of_the_workloads() -> None:
    mesh = ServedMesh(workload(POD), service(WEB))
    workloads = mesh.catalog.of(WORKLOAD)
    mesh.publish(service(WEB, "v2"))
    assert (workloads.position, mesh.catalog.of(ADDRESS).position) == (1, 2)


def test_a_name_that_becomes_a_service_is_a_workload_no_more() -> None:
    mesh = ServedMesh(workload(WEB))
    mesh.catalog.of(WORKLOAD)
    mesh.publish(service(WEB))
    assert bodies(mesh.catalog, WORKLOAD) == {}
    mesh.publish(workload(WEB))
    assert set(bodies(mesh.catalog, WORKLOAD)) == {WEB}


ADDRESSES = st.one_of(
    st.builds(workload, st.sampled_from([POD, OTHER, "w"]), st.sampled_from(["", "v2", "x" * 200])),
    st.builds(service, st.sampled_from([WEB, "ns/api"]), st.sampled_from(["", "v2"])),
)
EDITS = st.lists(st.tuples(st.booleans(), ADDRESSES), max_size=5)


def edit(mesh: ServedMesh, edits: list[tuple[bool, Address]]) -> None:
    for keep, address in edits:
        if keep:
            mesh.stage(address)
        elif address.name in mesh.addresses:
            mesh.stage(without=[address.name])
    mesh.catalog.publish()


@settings(max_examples=100, deadline=None)
@given(st.lists(EDITS, max_size=6), st.integers(0, 6))
def test_the_workloads_equal_the_addresses_minus_the_services_after_any_edits(
    history: list[list[tuple[bool, Address]]], asked_after: int
) -> None:
    mesh = ServedMesh()
    for number, edits in enumerate(history):
        if number == asked_after:
            mesh.catalog.of(WORKLOAD)
        edit(mesh, edits)
    assert bodies(mesh.catalog) == {name: address.body for name, address in mesh.addresses.items()}
    assert mesh.catalog.lookup.addresses == mesh.addresses
    expected = {
        name: api.Address.FromString(address.body).workload.SerializeToString(deterministic=True)
        for name, address in mesh.addresses.items()
        if api.Address.FromString(address.body).HasField("workload")
    }
    assert bodies(mesh.catalog, WORKLOAD) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(EDITS, max_size=6), st.randoms(use_true_random=False))
def test_two_catalogs_with_one_content_have_equal_versions(
    history: list[list[tuple[bool, Address]]], random: Random
) -> None:
    first = ServedMesh()
    for edits in history:
        edit(first, edits)
    addresses = list(first.addresses.values())
    random.shuffle(addresses)
    second = ServedMesh()
    for address in addresses:
        second.publish(address)
    for url in (ADDRESS, WORKLOAD, AUTHORIZATION):
        assert first.catalog.of(url).versions == second.catalog.of(url).versions
        assert first.catalog.of(url).version == second.catalog.of(url).version
