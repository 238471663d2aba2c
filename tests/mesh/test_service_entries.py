"""ServiceEntries, case by case: their services, and whom they select (facts wds, 3 and 8: X)."""

import pytest

from tests.helpers.mesh import MeshUnderTest, as_json
from tests.helpers.objects import put, remove
from xds_server.objects.networking import ServiceEntry
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings

A, B = "ns/a.example.com", "ns/b.example.com"
PORT = "ports: [{number: 80, name: http, protocol: HTTP}]"


def entry(spec: str, meta: str = "", status: str = "{}") -> str:
    return (
        f"{{kind: ServiceEntry, metadata: {{name: name, namespace: ns{meta}}}, "
        f"spec: {{{spec}}}, status: {status}}}"
    )


def told(mesh: MeshUnderTest) -> str:
    return "\n".join(f"{key}: {reason}" for _, key, reason in mesh.mesh.problems())


def test_each_host_is_a_service_with_the_addresses_of_all() -> None:
    hosts = "hosts: [a.example.com, b.example.com, a.example.com]"
    mesh = MeshUnderTest(
        entry(f"{hosts}, addresses: [1.2.3.4], resolution: DNS, {PORT}, subjectAltNames: [san1]")
    )
    assert as_json(mesh.service(A)) == {
        "name": "name",
        "namespace": "ns",
        "hostname": "a.example.com",
        "addresses": [{"network": "testnetwork", "address": "AQIDBA=="}],
        "ports": [{"service_port": 80, "target_port": 80, "app_protocol": "HTTP11"}],
        "subject_alt_names": ["san1"],
        "canonical": True,
    }
    assert mesh.service(B).hostname == "b.example.com"
    assert mesh.aliases(A) == mesh.aliases(B) == ("testnetwork/1.2.3.4",)


@pytest.mark.parametrize(
    ("address", "alias"),
    [
        ("10.0.0.5/24", "10.0.0.0/24"),
        ("10.0.0.1/32", "10.0.0.1"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::7/64", "2001:db8::/64"),
        ("2001:db8::7/128", "2001:db8::7"),
    ],
)
def test_an_address_may_be_a_block_of_which_the_first_address_is_served(address: str, alias: str) -> None:
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], addresses: ['{address}'], {PORT}"))
    (made,) = mesh.service(A).addresses
    assert mesh.aliases(A) == (f"testnetwork/{alias}",)
    assert made.HasField("length") == ("/" in alias)


@pytest.mark.parametrize(
    "address",
    ["", "a.example.com", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "010.0.0.1", "1.2.3.4/", "fe80::1%e"],
)
def test_one_unusable_address_takes_the_whole_entry_away_and_is_told(address: str) -> None:
    endpoint = "endpoints: [{address: 2.3.4.5}]"
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], addresses: [1.2.3.4, '{address}'], {endpoint}"))
    assert mesh.messages() == {}
    assert f"spec.addresses is {address!r}: expected an IP address or a CIDR block" in told(mesh)


ALLOCATED = "{addresses: [{value: 240.240.0.1, host: %s}, {value: '2001:2::1', host: %s}, {value: 9.9.9.9}]}"


@pytest.mark.parametrize(
    ("host", "spec", "meta", "aliases"),
    [
        ("a.example.com", "resolution: DNS", "", ("240.240.0.1", "2001:2::1")),
        ("a.example.com", "resolution: STATIC", "", ("240.240.0.1", "2001:2::1")),
        ("a.example.com", "resolution: DNS, addresses: [1.2.3.4]", "", ("1.2.3.4",)),
        ("a.example.com", "resolution: NONE", "", ()),
        ("a.example.com", "resolution: null", "", ()),
        (
            "a.example.com",
            "resolution: DNS",
            ", labels: {networking.istio.io/enable-autoallocate-ip: 'False'}",
            (),
        ),
        (
            "a.example.com",
            "resolution: DNS",
            ", labels: {networking.istio.io/enable-autoallocate-ip: 'true'}",
            ("240.240.0.1", "2001:2::1"),
        ),
        ("*.example.com", "resolution: DNS", "", ()),
        ("*.example.com", "resolution: DYNAMIC_DNS", "", ("240.240.0.1", "2001:2::1")),
    ],
)
def test_without_addresses_those_allocated_to_the_host_are_served(
    host: str, spec: str, meta: str, aliases: tuple[str, ...]
) -> None:
    mesh = MeshUnderTest(
        entry(f"hosts: ['{host}', other.example.com], {spec}", meta, ALLOCATED % (f"'{host}'", f"'{host}'"))
    )
    assert mesh.aliases(f"ns/{host}") == tuple(f"testnetwork/{alias}" for alias in aliases)


def test_an_allocated_address_that_is_none_is_left_out_and_told() -> None:
    status = (
        "{addresses: [{value: nonsense, host: a.example.com}, {value: 240.240.0.1, host: a.example.com}]}"
    )
    mesh = MeshUnderTest(entry("hosts: [a.example.com], resolution: DNS", status=status))
    assert mesh.aliases(A) == ("testnetwork/240.240.0.1",)
    assert "status.addresses is 'nonsense'" in told(mesh)


def test_connections_to_an_unresolved_host_pass_through() -> None:
    balancing = MeshUnderTest(entry("hosts: [a.example.com]")).service(A).load_balancing
    assert (balancing.mode, balancing.health_policy) == (
        api.LoadBalancing.PASSTHROUGH,
        api.LoadBalancing.ALLOW_ALL,
    )


def test_traffic_distribution_is_that_of_the_entry_then_of_its_namespace() -> None:
    annotated = ", annotations: {networking.istio.io/traffic-distribution: %s}"
    namespace = "{kind: Namespace, metadata: {name: ns" + annotated % "PreferSameNode" + "}}"
    mesh = MeshUnderTest(
        namespace, entry("hosts: [a.example.com], resolution: DNS", annotated % "PREFERCLOSE")
    )
    assert len(mesh.service(A).load_balancing.routing_preference) == 3
    put(mesh.registry, entry("hosts: [a.example.com], resolution: DNS"))
    assert len(mesh.service(A).load_balancing.routing_preference) == 5


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("HTTP", "HTTP11"),
        ("http", "HTTP11"),
        ("HTTP2", "HTTP2"),
        ("GRPC", "GRPC"),
        ("HTTPS", "TLS"),
        ("TLS", "TLS"),
        ("TCP", "TCP"),
        ("UDP", "UNKNOWN"),
        ("MONGO", "UNKNOWN"),
        ("http-x", "UNKNOWN"),
        ("''", "UNKNOWN"),
    ],
)
def test_the_protocol_of_a_port_is_a_word_of_its_own(protocol: str, expected: str) -> None:
    port = f"{{number: 3306, name: http, protocol: {protocol}}}"
    (made,) = MeshUnderTest(entry(f"hosts: [a.example.com], ports: [{port}]")).service(A).ports
    assert api.AppProtocol.Name(made.app_protocol) == expected


# Selected workloads

POD = (
    "{kind: Pod, metadata: {name: p, namespace: %s, labels: {app: httpbin}}, spec: {containers: [{ports: "
    "[{name: http, containerPort: 8000}]}]}, status: {podIP: 1.0.0.1}}"
)
SELECTING = "workloadSelector: {labels: {app: httpbin}}"


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ("{number: 8002, name: http}", [(8002, 8000)]),
        ("{number: 8002, name: http, targetPort: 9}", [(8002, 8000)]),
        ("{number: 8002, name: other, targetPort: 9}", [(8002, 9)]),
        ("{number: 8002, name: other}", [(8002, 8002)]),
    ],
)
def test_a_pods_port_is_that_of_the_name_then_the_target_then_the_same(
    ports: str, expected: list[tuple[int, int]]
) -> None:
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], {SELECTING}, ports: [{ports}]"), POD % "ns")
    assert mesh.ports("cluster0//Pod/ns/p") == {A: expected}


def test_pods_of_another_namespace_are_not_selected() -> None:
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], {SELECTING}"), POD % "other")
    assert mesh.ports("cluster0//Pod/other/p") == {}


def test_pods_may_be_left_to_services() -> None:
    settings = MeshSettings(cluster_id="cluster0", service_entries_select_pods=False)
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], {SELECTING}"), POD % "ns", settings=settings)
    assert mesh.ports("cluster0//Pod/ns/p") == {}


def test_everything_goes_with_the_entry() -> None:
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], resolution: DNS, {SELECTING}"), POD % "ns")
    remove(mesh.registry, ServiceEntry, "ns/name")
    assert list(mesh.messages()) == ["cluster0//Pod/ns/p"]
    assert mesh.ports("cluster0//Pod/ns/p") == {}
