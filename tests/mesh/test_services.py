"""Services, case by case (facts wds, sections 3 and 8: V)."""

import pytest

from tests.helpers.mesh import MeshUnderTest, as_json
from tests.helpers.objects import put
from xds_server.protobuf.workloadapi import workload_pb2 as api

NAME = "ns/name.ns.svc.company.com"
Scope = api.LoadBalancing.Scope


def service(spec: str, meta: str = "") -> str:
    return f"{{kind: Service, metadata: {{name: name, namespace: ns{meta}}}, spec: {{{spec}}}}}"


def test_a_cluster_ip_service_has_its_vip_ports_and_is_canonical() -> None:
    mesh = MeshUnderTest(service("clusterIP: 1.2.3.4, ports: [{port: 80, name: http}]"))
    assert as_json(mesh.service(NAME)) == {
        "name": "name",
        "namespace": "ns",
        "hostname": "name.ns.svc.company.com",
        "addresses": [{"network": "testnetwork", "address": "AQIDBA=="}],
        "ports": [{"service_port": 80, "app_protocol": "HTTP11"}],
        "canonical": True,
    }
    assert mesh.aliases(NAME) == ("testnetwork/1.2.3.4",)


def test_an_external_name_service_is_none() -> None:
    assert MeshUnderTest(service("type: ExternalName, externalName: a.example")).messages() == {}


def test_named_target_ports_are_left_to_the_workloads() -> None:
    ports = "ports: [{port: 80, targetPort: 81, name: http}, {port: 8080, targetPort: it, name: http-alt}]"
    made = MeshUnderTest(service(ports)).service(NAME)
    assert [(port.service_port, port.target_port, port.app_protocol) for port in made.ports] == [
        (80, 81, api.AppProtocol.HTTP11),
        (8080, 0, api.AppProtocol.HTTP11),
    ]


@pytest.mark.parametrize("spec", ["clusterIP: None", "clusterIP: ''", "clusterIPs: [None]", ""])
def test_a_headless_service_has_no_addresses(spec: str) -> None:
    assert list(MeshUnderTest(service(spec)).service(NAME).addresses) == []


def test_all_cluster_ips_are_served_and_no_other_addresses() -> None:
    ips = "clusterIP: 1.2.3.4, clusterIPs: [1.2.3.4, 'fd00::5'], externalIPs: [9.9.9.9]"
    mesh = MeshUnderTest(service(f"{ips}, ipFamilies: [IPv4, IPv6]"))
    assert mesh.aliases(NAME) == ("testnetwork/1.2.3.4", "testnetwork/fd00::5")
    assert mesh.service(NAME).ip_families == api.IPFamilies.DUAL


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        ("null", api.IPFamilies.AUTOMATIC),
        ("[]", api.IPFamilies.AUTOMATIC),
        ("[IPv4]", api.IPFamilies.IPV4_ONLY),
        ("[IPv6]", api.IPFamilies.IPV6_ONLY),
        ("[IPv6, IPv4]", api.IPFamilies.DUAL),
    ],
)
def test_ip_families_follow_the_spec(families: str, expected: int) -> None:
    assert MeshUnderTest(service(f"ipFamilies: {families}")).service(NAME).ip_families == expected


def test_an_unusable_cluster_ip_is_left_out_and_told() -> None:
    mesh = MeshUnderTest(service("clusterIPs: [nonsense, 1.2.3.4]"))
    assert mesh.aliases(NAME) == ("testnetwork/1.2.3.4",)
    assert [key for _, key, _ in mesh.mesh.problems()] == ["ns/name"]


ZONE = [Scope.NETWORK, Scope.REGION, Scope.ZONE]
NODE = [*ZONE, Scope.SUBZONE, Scope.NODE]
ANNOTATED = ", annotations: {networking.istio.io/traffic-distribution: %s}"


@pytest.mark.parametrize(
    ("spec", "meta", "mode", "scopes"),
    [
        ("trafficDistribution: PreferClose", "", api.LoadBalancing.FAILOVER, ZONE),
        ("trafficDistribution: PreferSameZone", "", api.LoadBalancing.FAILOVER, ZONE),
        ("trafficDistribution: PreferSameNode", "", api.LoadBalancing.FAILOVER, NODE),
        ("trafficDistribution: preferclose", "", 0, []),
        ("", ANNOTATED % "preferclose", api.LoadBalancing.FAILOVER, ZONE),
        ("", ANNOTATED % "PreferSameNode", api.LoadBalancing.FAILOVER, NODE),
        ("trafficDistribution: PreferClose", ANNOTATED % "PreferSameNode", api.LoadBalancing.FAILOVER, ZONE),
        ("trafficDistribution: Other", ANNOTATED % "PreferSameNode", api.LoadBalancing.FAILOVER, NODE),
        ("", ANNOTATED % "nonsense", 0, []),
        ("internalTrafficPolicy: Local", "", api.LoadBalancing.STRICT, [Scope.NODE]),
        (
            "internalTrafficPolicy: Local, trafficDistribution: PreferClose",
            "",
            api.LoadBalancing.STRICT,
            [Scope.NODE],
        ),
        ("internalTrafficPolicy: Cluster", "", 0, []),
    ],
)
def test_load_balancing_follows_policy_then_spec_then_annotation(
    spec: str, meta: str, mode: int, scopes: list[int]
) -> None:
    made = MeshUnderTest(service(spec, meta)).service(NAME)
    assert (made.load_balancing.mode, list(made.load_balancing.routing_preference)) == (mode, scopes)
    assert made.HasField("load_balancing") == bool(mode)


NAMESPACE = "{kind: Namespace, metadata: {name: ns%s}}"


def test_the_namespace_decides_where_the_service_does_not() -> None:
    mesh = MeshUnderTest(NAMESPACE % (ANNOTATED % "PreferClose"), service("", ANNOTATED % "PreferSameNode"))
    assert list(mesh.service(NAME).load_balancing.routing_preference) == NODE
    put(mesh.registry, service(""))
    assert list(mesh.service(NAME).load_balancing.routing_preference) == ZONE
    put(mesh.registry, NAMESPACE % "")
    assert not mesh.service(NAME).HasField("load_balancing")


def test_another_value_on_the_service_stops_the_search_at_it() -> None:
    mesh = MeshUnderTest(NAMESPACE % (ANNOTATED % "PreferClose"), service("", ANNOTATED % "Any"))
    assert not mesh.service(NAME).HasField("load_balancing")


def test_publishing_unready_addresses_changes_the_health_policy_of_that_service_alone() -> None:
    other = (
        "{kind: Service, metadata: {name: other, namespace: ns}, spec: {trafficDistribution: PreferClose}}"
    )
    mesh = MeshUnderTest(
        service("publishNotReadyAddresses: true, trafficDistribution: PreferClose"),
        other,
        service("publishNotReadyAddresses: true"),
    )
    balancing = mesh.service(NAME).load_balancing
    assert (balancing.mode, balancing.health_policy) == (0, api.LoadBalancing.ALLOW_ALL)
    assert mesh.service("ns/other.ns.svc.company.com").load_balancing.health_policy == 0


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("name: http", "HTTP11"),
        ("name: HTTP-web", "HTTP11"),
        ("name: http2-x", "HTTP2"),
        ("name: grpc", "GRPC"),
        ("name: grpc-web", "UNKNOWN"),
        ("name: GRPC-web-x", "UNKNOWN"),
        ("name: https", "TLS"),
        ("name: tls-x", "TLS"),
        ("name: tcp", "TCP"),
        ("name: mysql, port: 3306", "UNKNOWN"),
        ("name: x, port: 3306", "TCP"),
        ("port: 25", "TCP"),
        ("name: x", "UNKNOWN"),
        ("name: http, protocol: UDP", "UNKNOWN"),
        ("name: x, port: 53, protocol: UDP", "UNKNOWN"),
        ("name: tcp, appProtocol: kubernetes.io/h2c", "HTTP2"),
        ("name: tcp, appProtocol: kubernetes.io/ws", "HTTP11"),
        ("name: tcp, appProtocol: kubernetes.io/wss", "TLS"),
        ("name: tcp, appProtocol: http", "HTTP11"),
        ("name: http, appProtocol: example.com/other", "UNKNOWN"),
    ],
)
def test_the_protocol_is_read_from_app_protocol_then_name_then_number(port: str, expected: str) -> None:
    text = port if "port:" in port else f"{port}, port: 80"
    (made,) = MeshUnderTest(service(f"ports: [{{{text}}}]")).service(NAME).ports
    assert api.AppProtocol.Name(made.app_protocol) == expected
