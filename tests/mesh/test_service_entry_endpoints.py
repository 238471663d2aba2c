"""ServiceEntries, case by case: their endpoints (facts wds, 2 and 8: S)."""

import pytest

from tests.helpers.mesh import MeshUnderTest, as_json

UIDS = "cluster0/networking.istio.io/ServiceEntry/ns/name/"
A, B = "ns/a.example.com", "ns/b.example.com"
PORT = "ports: [{number: 80, name: http, protocol: HTTP}]"


def entry(spec: str, meta: str = "", status: str = "{}") -> str:
    return (
        f"{{kind: ServiceEntry, metadata: {{name: name, namespace: ns{meta}}}, "
        f"spec: {{{spec}}}, status: {status}}}"
    )


def told(mesh: MeshUnderTest) -> str:
    return "\n".join(f"{key}: {reason}" for _, key, reason in mesh.mesh.problems())


@pytest.mark.parametrize("resolution", ["DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"])
def test_without_endpoints_each_host_is_a_workload_of_its_own_service_alone(resolution: str) -> None:
    hosts = "hosts: [a.example.com, b.example.com]"
    mesh = MeshUnderTest(entry(f"{hosts}, resolution: {resolution}, {PORT}"))
    assert as_json(mesh.workload(f"{UIDS}a.example.com")) == {
        "uid": f"{UIDS}a.example.com",
        "name": "name",
        "namespace": "ns",
        "hostname": "a.example.com",
        "network": "testnetwork",
        "canonical_name": "name",
        "canonical_revision": "latest",
        "workload_type": "POD",
        "workload_name": "name",
        "cluster_id": "cluster0",
        "services": {A: {"ports": [{"service_port": 80, "target_port": 80}]}},
    }
    assert list(mesh.workload(f"{UIDS}b.example.com").services) == [B]


@pytest.mark.parametrize(
    "spec", ["resolution: NONE", "resolution: STATIC", "workloadSelector: {labels: {a: b}}"]
)
def test_without_endpoints_nothing_else_is_a_workload(spec: str) -> None:
    resolution = "" if "resolution" in spec else ", resolution: DNS"
    assert list(MeshUnderTest(entry(f"hosts: [a.example.com], {spec}{resolution}")).messages()) == [A]


def test_each_stated_endpoint_is_a_workload_of_all_hosts() -> None:
    endpoints = (
        "endpoints: [{address: 2.3.4.5, weight: 7, locality: r/z/s/more, serviceAccount: sa, "
        "ports: {http: 8081}}, {address: db.example.com}, {address: 3.4.5.6, weight: 0, locality: '//'}]"
    )
    hosts = "hosts: [a.example.com, b.example.com]"
    meta = ", labels: {app: x, version: v2, networking.istio.io/tunnel: http}"
    mesh = MeshUnderTest(entry(f"{hosts}, resolution: STATIC, {PORT}, {endpoints}", meta))
    assert as_json(mesh.workload(f"{UIDS}2.3.4.5")) == {
        "uid": f"{UIDS}2.3.4.5",
        "name": "name",
        "namespace": "ns",
        "addresses": ["AgMEBQ=="],
        "network": "testnetwork",
        "tunnel_protocol": "HBONE",
        "native_tunnel": True,
        "service_account": "sa",
        "canonical_name": "x",
        "canonical_revision": "v2",
        "workload_type": "POD",
        "workload_name": "name",
        "cluster_id": "cluster0",
        "locality": {"region": "r", "zone": "z", "subzone": "s"},
        "capacity": 7,
        "services": {
            A: {"ports": [{"service_port": 80, "target_port": 8081}]},
            B: {"ports": [{"service_port": 80, "target_port": 8081}]},
        },
    }
    assert mesh.aliases(f"{UIDS}2.3.4.5") == ("testnetwork/2.3.4.5",)
    assert mesh.workload(f"{UIDS}db.example.com").hostname == "db.example.com"
    last = mesh.workload(f"{UIDS}3.4.5.6")
    assert not last.HasField("capacity") and not last.HasField("locality")


def test_an_address_stated_twice_is_one_workload_and_told() -> None:
    endpoints = "endpoints: [{address: 2.3.4.5, weight: 1}, {address: 2.3.4.5, weight: 2}]"
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], resolution: STATIC, {endpoints}"))
    assert mesh.workload(f"{UIDS}2.3.4.5").capacity.value == 1
    assert "spec.endpoints[1].address is '2.3.4.5' again: expected each address once" in told(mesh)


def test_an_endpoint_without_a_network_is_on_that_of_the_one_before_it_which_is_told() -> None:
    addresses = ("{address: 1.0.0.1}", "{address: 1.0.0.2, network: far}", "{address: 1.0.0.3}")
    endpoints = f"endpoints: [{', '.join(addresses)}]"
    mesh = MeshUnderTest(entry(f"hosts: [a.example.com], resolution: STATIC, {endpoints}"))
    networks = [mesh.workload(f"{UIDS}1.0.0.{number}").network for number in (1, 2, 3)]
    assert networks == ["testnetwork", "far", "far"]
    assert mesh.aliases(f"{UIDS}1.0.0.3") == ("far/1.0.0.3",)
    assert "spec.endpoints[2].network is not set" in told(mesh)


def test_labels_of_an_endpoint_bind_it_to_a_waypoint_and_those_of_the_entry_to_policies() -> None:
    gateway = (
        "{kind: Gateway, metadata: {name: waypoint, namespace: ns, labels: {istio.io/waypoint-for: all}}, "
        "status: {addresses: [{type: IPAddress, value: 10.0.0.2}]}}"
    )
    policy = (
        "{kind: AuthorizationPolicy, metadata: {name: p, namespace: ns}, "
        "spec: {selector: {matchLabels: {app: a}}}}"
    )
    endpoints = "endpoints: [{address: 2.3.4.5, labels: {app: other}}, {address: 3.4.5.6, labels: %s}]"
    labelled = endpoints % "{istio.io/use-waypoint: waypoint}"
    mesh = MeshUnderTest(
        gateway,
        policy,
        entry(f"hosts: [a.example.com], resolution: STATIC, {labelled}", ", labels: {app: a}"),
    )
    plain, bound = mesh.workload(f"{UIDS}2.3.4.5"), mesh.workload(f"{UIDS}3.4.5.6")
    assert not plain.HasField("waypoint")
    assert bound.waypoint.hbone_mtls_port == 15008
    assert list(plain.authorization_policies) == list(bound.authorization_policies) == ["ns/p"]


def test_a_host_resolved_by_name_is_never_bound_to_a_waypoint() -> None:
    gateway = (
        "{kind: Gateway, metadata: {name: waypoint, namespace: ns, labels: {istio.io/waypoint-for: all}}, "
        "status: {addresses: [{type: IPAddress, value: 10.0.0.2}]}}"
    )
    namespace = "{kind: Namespace, metadata: {name: ns, labels: {istio.io/use-waypoint: waypoint}}}"
    mesh = MeshUnderTest(gateway, namespace, entry("hosts: [a.example.com], resolution: DNS"))
    assert mesh.service(A).HasField("waypoint")
    assert not mesh.workload(f"{UIDS}a.example.com").HasField("waypoint")
