"""Finding addresses by what a client may ask for."""

import msgspec
import pytest

from tests.helpers.addresses import service, workload
from tests.helpers.graphs import groups
from xds_server.catalog.lookup import AddressLookup, is_service
from xds_server.mesh.address import Address

POD = "Kubernetes//Pod/ns/pod"
OTHER = "Kubernetes//Pod/ns/other"
WEB = "ns/web.ns.svc.cluster.local"
API = "ns/api.ns.svc.cluster.local"


def lookup(*addresses: Address) -> AddressLookup:
    found = AddressLookup()
    found.apply({address.name: address for address in addresses})
    return found


MESH = (
    workload(POD, ips=["10.0.0.1", "2001:db8::1"], services=[WEB, API], node="n1", network="net"),
    workload(OTHER, ips=["10.0.0.2", "::ffff:10.0.0.2"], services=[WEB], node="n2"),
    workload("alone", node="n1"),
    service(WEB, vips=["10.96.0.1", "2001:db8:0::ffff"], network="net"),
    service(API, vips=["10.96.0.2"]),
    service("ns/empty", vips=["10.96.0.3"]),
)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (POD, {POD}),
        ("net/10.0.0.1", {POD}),
        ("net/2001:db8::1", {POD}),
        ("/10.0.0.2", {OTHER}),
        ("/::ffff:10.0.0.2", {OTHER}),
        ("alone", {"alone"}),
        (WEB, {WEB, POD, OTHER}),
        ("net/10.96.0.1", {WEB, POD, OTHER}),
        ("net/2001:db8::ffff", {WEB, POD, OTHER}),
        ("/10.96.0.2", {API, POD}),
        ("ns/empty", {"ns/empty"}),
        ("/10.96.0.3", {"ns/empty"}),
    ],
)
def test_an_address_is_found_by_every_name_it_has(key: str, found: set[str]) -> None:
    assert lookup(*MESH).find(key) == found


@pytest.mark.parametrize(
    "key",
    [
        "",
        "*",
        "/",
        "10.0.0.1",
        "/10.0.0.1",
        "other/10.0.0.1",
        "net/10.0.0.2",
        "net/2001:DB8::1",
        "net/2001:db8:0::1",
        "net/10.0.0.01",
        "ns/web",
        "other/web.ns.svc.cluster.local",
        "Kubernetes//Pod/ns",
        "n1",
    ],
)
def test_what_is_no_name_of_an_address_finds_nothing(key: str) -> None:
    assert lookup(*MESH).find(key) == set()


def test_an_address_that_a_workload_owns_never_leads_to_a_service() -> None:
    found = lookup(
        service(WEB, vips=["10.0.0.1"]), workload(POD, ips=["10.0.0.1"]), workload(OTHER, services=[WEB])
    )
    assert found.find("/10.0.0.1") == {POD}


def test_all_workloads_on_one_address_are_found() -> None:
    found = lookup(workload(POD, ips=["10.0.0.1"]), workload(OTHER, ips=["10.0.0.1"]))
    assert found.find("/10.0.0.1") == {POD, OTHER}


def test_of_several_services_on_one_address_the_first_by_name_is_found() -> None:
    mesh = (service(WEB, vips=["10.96.0.1"]), service(API, vips=["10.96.0.1"]), workload(POD, services=[WEB]))
    assert lookup(*mesh).find("/10.96.0.1") == lookup(*reversed(mesh)).find("/10.96.0.1") == {API}


def test_an_address_that_moves_is_found_where_it_is_now() -> None:
    found = lookup(*MESH)
    found.apply({POD: workload(POD), OTHER: workload(OTHER, ips=["10.0.0.1"], network="net")})
    assert found.find("net/10.0.0.1") == {OTHER}
    assert found.find("/10.0.0.2") == set()


def test_addresses_may_change_places_in_one_step() -> None:
    found = lookup(workload(POD, ips=["10.0.0.1"]), workload(OTHER, ips=["10.0.0.2"]))
    found.apply({POD: workload(POD, ips=["10.0.0.2"]), OTHER: workload(OTHER, ips=["10.0.0.1"])})
    assert (found.find("/10.0.0.1"), found.find("/10.0.0.2")) == ({OTHER}, {POD})


def test_a_workload_that_leaves_a_service_is_a_member_no_more() -> None:
    found = lookup(*MESH)
    found.apply({POD: workload(POD, services=[API])})
    assert found.find(WEB) == {WEB, OTHER}
    assert set(found.members(API)) == {POD}


RANGE = msgspec.structs.replace(
    service(WEB), aliases=("net/10.1.0.0/16", "net/10.1.0.0/24", "net/10.2.0.0/8")
)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("net/10.1.0.0", {WEB}),
        ("net/10.2.0.0", {WEB}),
        ("net/10.1.0.0/16", set()),
        ("net/10.1.0.1", set()),
        ("/10.1.0.0", set()),
    ],
)
def test_a_range_is_found_by_its_first_address_alone(key: str, found: set[str]) -> None:
    assert lookup(RANGE).find(key) == found


def test_a_range_leaves_no_name_behind() -> None:
    found = lookup(RANGE)
    found.apply({WEB: service(WEB, vips=["10.1.0.0"], network="net")})
    assert found.find("net/10.1.0.0") == {WEB}
    found.apply({WEB: None})
    assert groups(found._by_alias) == {}


def test_services_that_take_what_is_not_ready_are_known() -> None:
    found = lookup(service(WEB, admits_unready=True), service(API))
    assert found.admit_unready == {WEB}
    found.apply({WEB: service(WEB), API: service(API, admits_unready=True)})
    assert found.admit_unready == {API}
    found.apply({API: None})
    assert found.admit_unready == set()


def test_members_wait_for_a_service_that_comes_later() -> None:
    found = lookup(workload(POD, services=[WEB]))
    assert found.find(WEB) == set()
    found.apply({WEB: service(WEB)})
    assert found.find(WEB) == {WEB, POD}


def test_workloads_are_found_by_the_node_that_serves_them() -> None:
    found = lookup(*MESH)
    assert set(found.served_by("n1")) == {POD, "alone"}
    found.apply({POD: workload(POD, node="n2"), "alone": None})
    assert set(found.served_by("n1")) == set()
    assert set(found.served_by("n2")) == {POD, OTHER}


def test_no_node_serves_nothing() -> None:
    """A client that names no node must not be given the workloads that have none."""
    assert set(lookup(workload(POD, node="")).served_by("")) == set()


def test_nothing_is_left_when_everything_is_removed() -> None:
    found = lookup(*MESH)
    found.apply({POD: workload(POD, ips=["10.0.0.9"], services=["ns/empty"], node="n3")})
    found.apply({address.name: None for address in MESH})
    assert found.addresses == {}
    for index in (found._by_alias, found._members, found._by_node):
        assert groups(index) == {}


def test_removing_what_is_not_there_is_nothing() -> None:
    found = lookup(*MESH)
    found.apply({"unknown": None})
    assert len(found.addresses) == len(MESH)


@pytest.mark.parametrize(
    ("address", "service_or_not"),
    [
        (workload(""), False),
        (workload("x" * 20_000), False),
        (service("/"), True),
        (service("ns/" + "x" * 20_000), True),
    ],
)
def test_a_service_is_told_from_a_workload_by_its_bytes(address: Address, service_or_not: bool) -> None:
    assert is_service(address) == service_or_not
