"""WorkloadEntries, case by case (facts wds, 2 and 8: W)."""

import pytest

from tests.helpers.mesh import SETTINGS, MeshUnderTest, as_json
from xds_server.settings import MeshSettings

UID = "cluster0/networking.istio.io/WorkloadEntry/ns/name"
LABELLED = ", labels: {service.istio.io/workload-name: labelled}"
SERVICE = "ns/svc.ns.svc.company.com"


def entry(spec: str = "address: 1.2.3.4", meta: str = "") -> str:
    return f"{{kind: WorkloadEntry, metadata: {{name: name, namespace: ns{meta}}}, spec: {{{spec}}}}}"


def service(ports: str = "{port: 80, targetPort: 8080}", selector: str = "app: foo") -> str:
    return (
        f"{{kind: Service, metadata: {{name: svc, namespace: ns}}, "
        f"spec: {{selector: {{{selector}}}, ports: [{ports}]}}}}"
    )


def test_a_selected_entry_is_a_healthy_workload_of_the_service() -> None:
    mesh = MeshUnderTest(entry(meta=", labels: {app: foo}"), service())
    assert as_json(mesh.workload(UID)) == {
        "uid": UID,
        "name": "name",
        "namespace": "ns",
        "addresses": ["AQIDBA=="],
        "network": "testnetwork",
        "canonical_name": "foo",
        "canonical_revision": "latest",
        "workload_type": "POD",
        "workload_name": "name",
        "cluster_id": "cluster0",
        "services": {SERVICE: {"ports": [{"service_port": 80, "target_port": 8080}]}},
    }
    assert mesh.aliases(UID) == ("testnetwork/1.2.3.4",)


def test_all_stated_fields_are_served() -> None:
    spec = "address: 1.2.3.4, network: far, serviceAccount: sa, weight: 3, locality: region/zone"
    made = MeshUnderTest(entry(spec)).workload(UID)
    assert (made.network, made.service_account, made.capacity.value) == ("far", "sa", 3)
    assert (made.locality.region, made.locality.zone, made.locality.subzone) == ("region", "zone", "")


@pytest.mark.parametrize(
    ("address", "hostname", "aliases"),
    [
        ("1.2.3.4", "", ("testnetwork/1.2.3.4",)),
        ("'2001:DB8::1'", "", ("testnetwork/2001:db8::1",)),
        ("hostname", "hostname", ()),
        ("01.2.3.4", "01.2.3.4", ()),
        ("''", "", ()),
        ("null", "", ()),
    ],
)
def test_what_is_no_address_is_a_host(address: str, hostname: str, aliases: tuple[str, ...]) -> None:
    mesh = MeshUnderTest(entry(f"address: {address}"))
    assert mesh.workload(UID).hostname == hostname
    assert mesh.aliases(UID) == aliases


@pytest.mark.parametrize(
    ("meta", "spec", "canonical", "selected"),
    [
        ("", "address: 1.2.3.4", "name", False),
        ("", "address: 1.2.3.4, labels: {app: foo}", "foo", True),
        (", labels: {other: x}", "address: 1.2.3.4, labels: {app: foo}", "foo", True),
        (", labels: {app: foo}", "address: 1.2.3.4, labels: {app: bar}", "foo", True),
        (", labels: {app: bar}", "address: 1.2.3.4, labels: {app: foo}", "bar", False),
    ],
)
def test_labels_of_the_object_are_over_those_of_its_spec(
    meta: str, spec: str, canonical: str, selected: bool
) -> None:
    mesh = MeshUnderTest(entry(spec, meta), service())
    assert mesh.workload(UID).canonical_name == canonical
    assert (SERVICE in mesh.ports(UID)) is selected


def test_effective_labels_select_policies_waypoint_and_tunnel() -> None:
    gateway = (
        "{kind: Gateway, metadata: {name: waypoint, namespace: ns, labels: {istio.io/waypoint-for: all}}, "
        "status: {addresses: [{type: IPAddress, value: 10.0.0.2}]}}"
    )
    policy = (
        "{kind: AuthorizationPolicy, metadata: {name: p, namespace: ns}, "
        "spec: {selector: {matchLabels: {app: foo}}}}"
    )
    labels = "{app: foo, istio.io/use-waypoint: waypoint, networking.istio.io/tunnel: 'x,http'}"
    made = MeshUnderTest(gateway, policy, entry(f"address: 1.2.3.4, labels: {labels}")).workload(UID)
    assert made.waypoint.hbone_mtls_port == 15008
    assert list(made.authorization_policies) == ["ns/p"]
    assert (made.tunnel_protocol, made.native_tunnel) == (1, True)


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ("", "name"),
        (LABELLED, "labelled"),
        (
            f"{LABELLED}, annotations: {{istio.io/autoRegistrationGroup: group}}",
            "group",
        ),
    ],
)
def test_the_workload_name_is_that_of_its_group_then_its_label_then_its_own(meta: str, expected: str) -> None:
    assert MeshUnderTest(entry(meta=meta)).workload(UID).workload_name == expected


def test_ports_go_by_the_names_of_a_services_targets_then_of_its_ports() -> None:
    ports = (
        "{port: 80, targetPort: 8080, name: '80'}, {port: 81, targetPort: 8081, name: '81'}, "
        "{port: 82, targetPort: 82-target, name: '82'}, {port: 83, targetPort: 83-target, name: '83'}"
    )
    stated = "address: 1.2.3.4, ports: {'81': 8180, 82-target: 8280}"
    mesh = MeshUnderTest(entry(stated, ", labels: {app: foo}"), service(ports))
    assert mesh.ports(UID) == {SERVICE: [(80, 8080), (81, 8180), (82, 8280)]}


def test_ports_go_by_the_names_of_a_service_entrys_ports_then_its_targets() -> None:
    ports = "{number: 80, targetPort: 8080, name: '80'}, {number: 81, name: '81'}, {number: 82, name: '82'}"
    selecting = (
        "{kind: ServiceEntry, metadata: {name: se, namespace: ns}, spec: {hosts: [a.example.com], "
        f"workloadSelector: {{labels: {{app: foo}}}}, ports: [{ports}]}}}}"
    )
    stated = "address: 1.2.3.4, ports: {'81': 8180}"
    mesh = MeshUnderTest(entry(stated, ", labels: {app: foo}"), selecting)
    assert mesh.ports(UID) == {"ns/a.example.com": [(80, 8080), (81, 8180), (82, 82)]}


def test_a_service_without_a_selector_selects_nothing() -> None:
    mesh = MeshUnderTest(entry(meta=", labels: {app: foo}"), service(selector=""))
    assert mesh.ports(UID) == {}


def test_a_selected_entry_may_have_no_port_of_the_service() -> None:
    mesh = MeshUnderTest(entry(meta=", labels: {app: foo}"), service("{port: 80, targetPort: web}"))
    assert mesh.ports(UID) == {SERVICE: []}


def test_entries_may_be_left_to_service_entries() -> None:
    selecting = (
        "{kind: ServiceEntry, metadata: {name: se, namespace: ns}, spec: {hosts: [a.example.com], "
        "workloadSelector: {labels: {app: foo}}}}"
    )
    settings = MeshSettings(cluster_id="cluster0", services_select_workload_entries=False)
    mesh = MeshUnderTest(entry(meta=", labels: {app: foo}"), service(), selecting, settings=settings)
    assert mesh.ports(UID) == {"ns/a.example.com": []}


def test_two_entries_without_an_address_are_both_served_and_found_by_none() -> None:
    other = "{kind: WorkloadEntry, metadata: {name: other, namespace: ns}, spec: {network: far}}"
    mesh = MeshUnderTest(entry("network: far"), other)
    assert sorted(mesh.messages()) == [UID, UID.replace("ns/name", "ns/other")]
    assert mesh.aliases(UID) == ()


def test_a_workload_of_another_network_is_reached_by_its_gateway() -> None:
    gateway = (
        "{kind: Gateway, metadata: {name: gw, namespace: edge, labels: {topology.istio.io/network: far}}, "
        "spec: {gatewayClassName: istio-remote, listeners: [{port: 15008, protocol: HBONE}]}, "
        "status: {addresses: [{type: IPAddress, value: 9.9.9.9}]}}"
    )
    made = MeshUnderTest(gateway, entry("network: far"), settings=SETTINGS).workload(UID)
    assert made.network_gateway.address.network == "far"
    assert made.network_gateway.hbone_mtls_port == 15008
