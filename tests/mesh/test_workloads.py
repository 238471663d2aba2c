"""Workloads of pods, case by case (facts wds, sections 2 and 8: P and E)."""

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.mesh import MeshUnderTest, as_json
from tests.helpers.objects import put, remove
from xds_server.objects.kubernetes import Pod
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings

UID = "cluster0//Pod/ns/name"


def pod(spec: str = "{}", status: str = "{phase: Running, podIP: 1.2.3.4}", meta: str = "") -> str:
    return f"{{kind: Pod, metadata: {{name: name, namespace: ns{meta}}}, spec: {spec}, status: {status}}}"


def workload(*texts: str) -> api.Workload:
    return MeshUnderTest(*texts).workload(UID)


@pytest.mark.parametrize(
    "status",
    [
        "{phase: Pending}",
        "{phase: Running}",
        "{phase: Succeeded, podIP: 1.2.3.4}",
        "{phase: Failed, podIP: 1.2.3.4}",
        "{phase: Running, podIP: 1.2.3}",
        "{phase: Running, podIPs: [{ip: 1.2.3.4}, {ip: 01.2.3.4}]}",
        "{phase: Running, podIP: 'fe80::1%eth0'}",
    ],
)
def test_a_pod_without_usable_addresses_or_finished_is_no_workload(status: str) -> None:
    assert MeshUnderTest(pod(status=status)).messages() == {}


def test_a_pod_whose_address_cannot_be_used_is_told_as_a_problem() -> None:
    mesh = MeshUnderTest(pod(status="{phase: Running, podIP: 1.2.3}"))
    assert list(mesh.mesh.problems()) == [
        ("pod workloads", "ns/name", "podIP is '1.2.3': expected an IP address")
    ]


def test_a_pending_pod_with_an_address_is_unhealthy_and_has_every_default() -> None:
    assert as_json(workload(pod(status="{phase: Pending, podIP: 1.2.3.4}"))) == {
        "uid": UID,
        "name": "name",
        "namespace": "ns",
        "addresses": ["AQIDBA=="],
        "network": "testnetwork",
        "canonical_name": "name",
        "canonical_revision": "latest",
        "workload_type": "POD",
        "workload_name": "name",
        "status": "UNHEALTHY",
        "cluster_id": "cluster0",
    }


@pytest.mark.parametrize(
    ("status", "meta", "expected"),
    [
        ("[{type: Ready, status: 'True'}]", "", api.WorkloadStatus.HEALTHY),
        ("[{type: Ready, status: 'False'}]", "", api.WorkloadStatus.UNHEALTHY),
        ("[{type: Initialized, status: 'True'}]", "", api.WorkloadStatus.UNHEALTHY),
        ("null", "", api.WorkloadStatus.UNHEALTHY),
        (
            "[{type: Ready, status: 'True'}]",
            ", deletionTimestamp: '2026-01-01T00:00:00Z'",
            api.WorkloadStatus.UNHEALTHY,
        ),
    ],
)
def test_a_pod_is_healthy_while_ready_and_not_terminating(status: str, meta: str, expected: int) -> None:
    made = workload(pod(status=f"{{podIP: 1.2.3.4, conditions: {status}}}", meta=meta))
    assert made.status == expected


OWNER = "{{kind: {kind}, name: {name}, controller: true}}"
OWNED = f", generateName: x-, ownerReferences: [{OWNER}], labels: {{labels}}"


@pytest.mark.parametrize(
    ("kind", "name", "labels", "expected"),
    [
        ("ReplicaSet", "rs", "{}", "rs"),
        ("ReplicaSet", "web-7d9f", "{pod-template-hash: 7d9f}", "web"),
        ("ReplicaSet", "web-7d9f", "{pod-template-hash: other}", "web-7d9f"),
        ("ReplicaSet", "web-7d9f", "{pod-template-hash: ''}", "web-7d9f"),
        ("ReplicaSet", "web-8e0a", "{rollouts-pod-template-hash: 8e0a}", "web"),
        ("ReplicationController", "rc-1", "{deploymentconfig: dc}", "dc"),
        ("ReplicationController", "rc-1", "{}", "rc-1"),
        ("Job", "backup-28123456", "{}", "backup"),
        ("Job", "backup-123", "{}", "backup-123"),
        ("Job", "backup-12345678901", "{}", "backup-12345678901"),
        ("StatefulSet", "db", "{}", "db"),
        ("StatefulSet", "db", "{service.istio.io/workload-name: mine}", "mine"),
        ("StatefulSet", "db", "{service.istio.io/workload-name: ''}", ""),
    ],
)
def test_the_workload_name_is_that_of_what_made_the_pod(
    kind: str, name: str, labels: str, expected: str
) -> None:
    made = workload(pod(meta=OWNED.format(kind=kind, name=name, labels=labels)))
    assert (made.workload_name, made.canonical_name) == (expected, expected)


def test_an_owner_counts_only_for_a_generated_name_and_a_controller() -> None:
    owner = "ownerReferences: [{kind: ReplicaSet, name: rs, controller: %s}]"
    assert workload(pod(meta=f", {owner % 'true'}")).workload_name == "name"
    assert workload(pod(meta=f", generateName: x-, {owner % 'false'}")).workload_name == "name"


@pytest.mark.parametrize(
    ("labels", "name", "revision"),
    [
        ("{app: a, app.kubernetes.io/name: b, service.istio.io/canonical-name: c}", "c", "latest"),
        ("{app: a, app.kubernetes.io/name: b}", "b", "latest"),
        ("{app: a, version: v1}", "a", "v1"),
        ("{app: ''}", "", "latest"),
        ("{app.kubernetes.io/version: v2, version: v1}", "name", "v2"),
        ("{service.istio.io/canonical-revision: v3, app.kubernetes.io/version: v2}", "name", "v3"),
    ],
)
def test_canonical_name_and_revision_come_from_the_first_label_present(
    labels: str, name: str, revision: str
) -> None:
    made = workload(pod(meta=f", labels: {labels}"))
    assert (made.canonical_name, made.canonical_revision) == (name, revision)


@pytest.mark.parametrize(
    ("meta", "tunnel", "native"),
    [
        ("", api.TunnelProtocol.NONE, False),
        (", annotations: {ambient.istio.io/redirection: enabled}", api.TunnelProtocol.HBONE, False),
        (", annotations: {ambient.istio.io/redirection: pending}", api.TunnelProtocol.NONE, False),
        (", labels: {networking.istio.io/tunnel: http}", api.TunnelProtocol.HBONE, True),
        (", labels: {networking.istio.io/tunnel: 'x,http'}", api.TunnelProtocol.HBONE, True),
        (", labels: {networking.istio.io/tunnel: 'x, http'}", api.TunnelProtocol.NONE, False),
    ],
)
def test_the_tunnel_is_hbone_for_captured_and_for_speaking_pods(meta: str, tunnel: int, native: bool) -> None:
    made = workload(pod(meta=meta))
    assert (made.tunnel_protocol, made.native_tunnel) == (tunnel, native)


def test_both_address_families_are_served_in_the_order_of_the_status() -> None:
    mesh = MeshUnderTest(pod(status="{podIP: 1.2.3.4, podIPs: [{ip: '2001:DB8::1'}, {ip: 1.2.3.4}]}"))
    assert [ip_address(ip) for ip in mesh.workload(UID).addresses] == [
        ip_address("2001:db8::1"),
        ip_address("1.2.3.4"),
    ]
    assert mesh.aliases(UID) == ("testnetwork/2001:db8::1", "testnetwork/1.2.3.4")


def test_an_ipv4_mapped_address_keeps_its_dotted_alias() -> None:
    assert MeshUnderTest(pod(status="{podIP: '::ffff:10.0.0.1'}")).aliases(UID) == (
        "testnetwork/::ffff:10.0.0.1",
    )


def test_empty_cluster_and_network_leave_their_places_empty() -> None:
    mesh = MeshUnderTest(pod(), settings=MeshSettings(cluster_id=""))
    assert mesh.aliases("//Pod/ns/name") == ("/1.2.3.4",)


def test_a_foreign_trust_domain_is_served_and_the_default_is_not() -> None:
    other = MeshUnderTest(pod(), settings=MeshSettings(trust_domain="corp.example", cluster_id="cluster0"))
    assert other.workload(UID).trust_domain == "corp.example"
    assert workload(pod()).trust_domain == ""


def test_host_network_and_service_account_are_told() -> None:
    made = workload(pod("{hostNetwork: true, serviceAccountName: sa}"))
    assert (made.network_mode, made.service_account) == (api.NetworkMode.HOST_NETWORK, "sa")


NODE = "{kind: Node, metadata: {name: node, labels: {%s}}}"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            "topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z, topology.istio.io/subzone: s",
            {"region": "r", "zone": "z", "subzone": "s"},
        ),
        ("topology.kubernetes.io/zone: z", {"zone": "z"}),
        ("failure-domain.beta.kubernetes.io/zone: z", None),
        ("", None),
    ],
)
def test_the_locality_is_that_of_the_pods_own_node(labels: str, expected: dict[str, str] | None) -> None:
    made = as_json(workload(NODE % labels, pod("{nodeName: node}")))
    assert made.get("locality") == expected
    assert made["node"] == "node"


def test_a_node_that_appears_later_gives_its_pods_their_locality() -> None:
    mesh = MeshUnderTest(pod("{nodeName: node}"))
    put(mesh.registry, NODE % "topology.kubernetes.io/zone: z")
    assert mesh.workload(UID).locality.zone == "z"


def test_the_network_is_the_label_of_the_root_namespace_and_moves_everything() -> None:
    root = "{kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: %s}}}"
    mesh = MeshUnderTest(pod(), settings=MeshSettings(cluster_id="cluster0"))
    put(mesh.registry, root % "nw1")
    assert mesh.aliases(UID) == ("nw1/1.2.3.4",)
    put(mesh.registry, root % "nw2")
    assert (mesh.workload(UID).network, mesh.aliases(UID)) == ("nw2", ("nw2/1.2.3.4",))


SERVICE = "{kind: Service, metadata: {name: svc, namespace: ns}, spec: {%s}}"
HOST = "ns/svc.ns.svc.company.com"
LABELLED = ", labels: {app: foo, tier: web}"


@pytest.mark.parametrize(
    ("selector", "bound"),
    [
        ("{app: foo}", True),
        ("{app: foo, tier: web}", True),
        ("{app: foo, tier: db}", False),
        ("{app: foo, more: x}", False),
        ("{}", False),
        ("null", False),
    ],
)
def test_a_pod_belongs_to_the_services_whose_selector_its_labels_satisfy(selector: str, bound: bool) -> None:
    mesh = MeshUnderTest(
        SERVICE % f"selector: {selector}, ports: [{{port: 80, targetPort: 8080}}]", pod(meta=LABELLED)
    )
    assert mesh.ports(UID) == ({HOST: [(80, 8080)]} if bound else {})


def test_a_service_of_another_namespace_does_not_select() -> None:
    other = "{kind: Service, metadata: {name: svc, namespace: other}, spec: {selector: {app: foo}}}"
    assert MeshUnderTest(other, pod(meta=LABELLED)).ports(UID) == {}


def test_an_external_name_service_has_no_workloads_and_is_none() -> None:
    mesh = MeshUnderTest(SERVICE % "type: ExternalName, selector: {app: foo}", pod(meta=LABELLED))
    assert list(mesh.messages()) == [UID]
    assert mesh.ports(UID) == {}


CONTAINERS = "{containers: [{ports: [{name: web, containerPort: 9090, protocol: %s}]}]%s}"


@pytest.mark.parametrize(
    ("ports", "spec", "expected"),
    [
        ("{port: 80, targetPort: 8080}", "{}", [(80, 8080)]),
        ("{port: 80}", "{}", [(80, 80)]),
        ("{port: 80, targetPort: web}", CONTAINERS % ("TCP", ""), [(80, 9090)]),
        ("{port: 80, targetPort: web}", CONTAINERS % ("null", ""), [(80, 9090)]),
        ("{port: 80, targetPort: web}", CONTAINERS % ("UDP", ""), []),
        ("{port: 80, targetPort: web}", "{}", []),
        (
            "{port: 80, targetPort: side}",
            CONTAINERS
            % ("TCP", ", initContainers: [{restartPolicy: Always, ports: [{name: side, containerPort: 7}]}]"),
            [(80, 7)],
        ),
        (
            "{port: 80, targetPort: side}",
            CONTAINERS % ("TCP", ", initContainers: [{ports: [{name: side, containerPort: 7}]}]"),
            [],
        ),
        (
            "{name: tcp, port: 53, targetPort: dns}, {name: udp, port: 53, protocol: UDP, targetPort: 5353}",
            "{}",
            [(53, 53), (53, 5353)],
        ),
    ],
)
def test_ports_lead_to_numbers_or_to_named_container_ports(
    ports: str, spec: str, expected: list[tuple[int, int]]
) -> None:
    mesh = MeshUnderTest(SERVICE % f"selector: {{app: foo}}, ports: [{ports}]", pod(spec, meta=LABELLED))
    assert mesh.ports(UID) == {HOST: expected}


SLICE = """
{kind: EndpointSlice, metadata: {name: svc-123, namespace: ns, labels: {kubernetes.io/service-name: svc}},
 addressType: IPv4, ports: [{name: http, port: 6443, protocol: TCP}],
 endpoints: [{addresses: [1.2.3.4], targetRef: %s}]}
"""
NAMED = SERVICE % "ports: [{name: http, port: 443, targetPort: 9}]"
OWN_UID = "cluster0/discovery.k8s.io/EndpointSlice/ns/svc-123/1.2.3.4"


def test_a_slice_that_names_the_pod_joins_it_to_the_service_with_the_services_own_ports() -> None:
    mesh = MeshUnderTest(
        NAMED, SLICE % "{kind: Pod, namespace: ns, name: name, uid: u1}", pod(meta=", uid: u1")
    )
    assert mesh.ports(UID) == {HOST: [(443, 9)]}
    assert OWN_UID not in mesh.messages()


def test_a_slice_that_names_an_earlier_pod_of_that_name_joins_nothing() -> None:
    mesh = MeshUnderTest(
        NAMED, SLICE % "{kind: Pod, namespace: ns, name: name, uid: old}", pod(meta=", uid: u1")
    )
    assert mesh.ports(UID) == {}


def test_an_endpoint_that_names_no_pod_is_a_workload_of_its_own() -> None:
    mesh = MeshUnderTest(NAMED, SLICE % "null", pod())
    assert mesh.ports(UID) == {}
    assert as_json(mesh.workload(OWN_UID)) == {
        "uid": OWN_UID,
        "name": "svc-123",
        "namespace": "ns",
        "addresses": ["AQIDBA=="],
        "network": "testnetwork",
        "services": {HOST: {"ports": [{"service_port": 443, "target_port": 6443}]}},
        "cluster_id": "cluster0",
        "network_mode": "HOST_NETWORK",
    }


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (("addresses: [1.2.3.4]", "addresses: [1.2.3.4, 'fd00::1']"), 1),
        (("addresses: [1.2.3.4]", "addresses: [1.2.3.4, bad]"), 0),
        (("addresses: [1.2.3.4]", "addresses: []"), 0),
        (("addressType: IPv4", "addressType: FQDN"), 0),
        (("kubernetes.io/service-name: svc", "kubernetes.io/service-name: other"), 0),
        (("kubernetes.io/service-name: svc", "x: y"), 0),
        (("endpoints: [", "endpoints: [{addresses: [1.2.3.4]}, "), 1),
    ],
)
def test_what_of_a_slice_becomes_workloads(change: tuple[str, str], count: int) -> None:
    mesh = MeshUnderTest(NAMED, (SLICE % "null").replace(*change))
    assert len(mesh.messages()) - 1 == count


def test_one_unusable_endpoint_spares_the_others_and_is_told() -> None:
    text = (SLICE % "null").replace("endpoints: [", "endpoints: [{addresses: [nonsense]}, ")
    mesh = MeshUnderTest(NAMED, text)
    assert OWN_UID in mesh.messages()
    assert [reason for _, _, reason in mesh.mesh.problems()] == [
        "endpoint address is 'nonsense': expected an IP address"
    ]


@pytest.mark.parametrize(
    ("ready", "expected"),
    [("null", 0), ("{ready: true}", 0), ("{ready: null}", 0), ("{ready: false}", 1)],
)
def test_an_endpoint_is_healthy_unless_it_says_it_is_not(ready: str, expected: int) -> None:
    text = (SLICE % "null").replace("targetRef:", f"conditions: {ready}, targetRef:")
    assert MeshUnderTest(NAMED, text).workload(OWN_UID).status == expected


def test_a_removed_pod_takes_its_workload_along() -> None:
    mesh = MeshUnderTest(pod())
    remove(mesh.registry, Pod, "ns/name")
    assert mesh.messages() == {}


@settings(deadline=None)
@given(
    order=st.permutations(
        [
            SERVICE % "selector: {app: foo}",
            NODE % "topology.kubernetes.io/zone: z",
            pod("{nodeName: node}", meta=LABELLED),
            SLICE % "null",
        ]
    )
)
def test_the_order_of_arrival_does_not_matter(order: list[str]) -> None:
    one, other = MeshUnderTest(*order), MeshUnderTest(*sorted(order))
    assert one.messages() == other.messages()
