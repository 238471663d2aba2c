"""Which Gateways are waypoints, where they are reached, and what is bound to them (facts wds, 4.2, 4.3)."""

import pytest

from tests.helpers.objects import put, remove
from tests.mesh.bound import Bound, as_dict, gateway_class, hbone, namespace, place, pod, service, waypoint
from xds_server.objects.gateway_api import Gateway
from xds_server.settings import MeshSettings

USE = "istio.io/use-waypoint: %s"
BOTH = (service(USE % "wp"), pod(USE % "wp"))


@pytest.mark.parametrize(
    ("traffic", "bound"),
    [
        ("service", ("wp.ns1@ns1", "-")),
        ("workload", ("-", "wp.ns1@ns1")),
        ("all", ("wp.ns1@ns1", "wp.ns1@ns1")),
        ("none", ("-", "-")),
        ("unheard-of", ("-", "-")),
        ("", ("wp.ns1@ns1", "-")),
    ],
)
def test_the_traffic_type_decides_between_services_and_workloads(
    traffic: str, bound: tuple[str, str]
) -> None:
    mesh = Bound(waypoint(traffic), *BOTH)
    assert (place(mesh.service().waypoint), place(mesh.workload().waypoint)) == bound


@pytest.mark.parametrize(
    ("of_gateway", "of_class", "bound"),
    [
        ("", "workload", "wp.ns1@ns1"),
        ("service", "workload", "-"),
        ("all", "none", "wp.ns1@ns1"),
        ("''", "all", "-"),
    ],
)
def test_the_traffic_type_is_that_of_the_gateway_else_of_its_class(
    of_gateway: str, of_class: str, bound: str
) -> None:
    mesh = Bound(gateway_class(f"istio.io/waypoint-for: {of_class}"), waypoint(of_gateway), *BOTH)
    assert place(mesh.workload().waypoint) == bound


def test_an_unknown_traffic_type_is_told_with_its_gateway() -> None:
    told = Bound(waypoint("everything")).problems()
    assert told == {
        "waypoints ns1/wp": "label istio.io/waypoint-for is 'everything': expected one of "
        "service, workload, all, none"
    }


HOST = "{type: Hostname, value: wp.example}"
IP = "{type: IPAddress, value: 10.0.0.2}"


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (HOST, "wp.example@ns1"),
        (IP, "testnetwork/10.0.0.2"),
        (f"{IP}, {HOST}", "wp.example@ns1"),
        (f"{HOST}, {{type: Hostname, value: other.example}}", "wp.example@ns1"),
        (f"{{type: IPAddress, value: 010.0.0.1}}, {IP}", "testnetwork/10.0.0.2"),
        (f"{{value: 10.0.0.1}}, {IP}", "testnetwork/10.0.0.2"),
        (f"{{type: example.com/Named, value: name}}, {IP}", "testnetwork/10.0.0.2"),
    ],
)
def test_the_address_is_the_first_host_else_the_first_ip_that_can_be_read(
    addresses: str, expected: str
) -> None:
    mesh = Bound(waypoint("all", addresses=addresses), *BOTH)
    assert place(mesh.service().waypoint) == place(mesh.workload().waypoint) == expected


def test_an_ip_is_on_the_local_network_as_it_is_now() -> None:
    system = "{kind: Namespace, metadata: {name: istio-system, labels: {topology.istio.io/network: %s}}}"
    mesh = Bound(system % "nw1", waypoint(addresses=IP), BOTH[0], settings=MeshSettings())
    assert place(mesh.service().waypoint) == "nw1/10.0.0.2"
    put(mesh.registry, system % "nw2")
    assert place(mesh.service().waypoint) == "nw2/10.0.0.2"


@pytest.mark.parametrize("addresses", ["{value: 10.0.0.1}", "{type: IPAddress, value: nonsense}"])
def test_a_waypoint_without_an_address_of_use_is_bound_and_sent_to_nobody(addresses: str) -> None:
    ingress = f"{USE % 'wp'}, istio.io/ingress-use-waypoint: 'true'"
    mesh = Bound(waypoint("all", addresses=addresses), service(ingress), pod(USE % "wp"))
    assert (mesh.service().waypoint, mesh.workload().waypoint) == (None, None)
    assert (mesh.service().gateway, mesh.workload().gateway) == ("ns1/wp", "ns1/wp")
    assert mesh.service().ingress_use_waypoint
    for binding in (mesh.service(), mesh.workload()):
        assert "expected a Gateway with a Hostname or a readable IPAddress" in binding.problem


def test_a_gateway_is_a_waypoint_as_long_as_its_status_has_an_address() -> None:
    mesh = Bound(waypoint(addresses=""), service(USE % "wp"))
    assert mesh.service().waypoint is None
    assert "'ns1/wp': expected a Gateway with an address in its status" in mesh.service().problem
    assert "WaypointIsNotReady" in mesh.service().problem
    put(mesh.registry, waypoint())
    assert (place(mesh.service().waypoint), mesh.service().problem) == ("wp.ns1@ns1", "")
    remove(mesh.registry, Gateway, "ns1/wp")
    assert mesh.service().waypoint is None


def test_a_gateway_of_any_class_is_a_waypoint() -> None:
    ingress = waypoint("all").replace("istio-waypoint", "istio")
    assert place(Bound(ingress, *BOTH).service().waypoint) == "wp.ns1@ns1"


AT = "istio.io/use-waypoint-namespace: %s"
MANY = (waypoint("all"), waypoint("all", name="other"), waypoint("all", namespace="ns2"))


@pytest.mark.parametrize(
    ("own", "of_namespace", "bound", "reason"),
    [
        ("", "", "-", ""),
        (USE % "wp", "", "wp.ns1@ns1", ""),
        ("", USE % "wp", "wp.ns1@ns1", ""),
        (USE % "other", USE % "wp", "other.ns1@ns1", ""),
        (USE % "none", USE % "wp", "-", ""),
        (USE % "'~'", USE % "wp", "-", "WaypointIsNotReady"),
        (USE % "''", USE % "wp", "-", "WaypointIsNotReady"),
        (USE % "missing", USE % "wp", "-", "WaypointIsNotReady"),
        (f"{USE % 'wp'}, {AT % 'ns3'}", USE % "wp", "-", "WaypointIsNotReady"),
        (f"{USE % 'wp'}, {AT % 'ns2'}", "", "-", "AttachmentDenied"),
        (AT % "ns2", USE % "wp", "wp.ns1@ns1", ""),
        (f"{USE % 'wp'}, {AT % repr('')}", USE % "wp", "-", "WaypointIsNotReady"),
        (USE % "wp", f"{USE % 'other'}, {AT % 'ns2'}", "wp.ns1@ns1", ""),
        ("", USE % "none", "-", ""),
        ("", USE % "missing", "-", ""),
        ("", f"{USE % 'wp'}, {AT % 'ns2'}", "-", ""),
    ],
)
def test_an_object_is_bound_by_its_own_label_else_by_that_of_its_namespace(
    own: str, of_namespace: str, bound: str, reason: str
) -> None:
    mesh = Bound(*MANY, namespace(of_namespace), service(own), pod(own))
    for binding in (mesh.service(), mesh.workload()):
        assert place(binding.waypoint) == bound
        assert binding.gateway == ("" if bound == "-" else "ns1/" + bound.partition(".")[0])
        assert (reason in binding.problem) if reason else not binding.problem


def test_what_a_namespace_asks_for_in_vain_is_told_once_at_the_namespace() -> None:
    mesh = Bound(namespace(USE % "missing"), service(), pod())
    ((where, told),) = mesh.problems().items()
    assert where == "namespace waypoints ns1"
    assert told.startswith("label istio.io/use-waypoint says 'ns1/missing': expected a Gateway")
    put(mesh.registry, waypoint("all", name="missing"))
    assert mesh.problems() == {}
    assert place(mesh.workload().waypoint) == "missing.ns1@ns1"


def test_an_object_of_an_unknown_namespace_is_bound_by_its_own_label() -> None:
    assert place(Bound(waypoint(), service(USE % "wp")).service().waypoint) == "wp.ns1@ns1"


@pytest.mark.parametrize("traffic", ["service", "none"])
def test_a_workload_is_silent_of_the_wrong_traffic_type_of_its_namespace_alone(traffic: str) -> None:
    mesh = Bound(waypoint(traffic), namespace(USE % "wp"), pod(), pod(USE % "wp", name="own"))
    assert mesh.workload().problem == ""
    assert "UnsupportedTrafficType" in mesh.workload("ns1/own").problem
    assert mesh.workload("ns1/own").waypoint is None


@pytest.mark.parametrize("labels", ["", USE % "wp"])
def test_a_service_always_tells_of_the_wrong_traffic_type(labels: str) -> None:
    mesh = Bound(waypoint("workload"), namespace(USE % "wp"), service(labels))
    assert mesh.service().waypoint is None
    assert "expected a waypoint for service traffic" in mesh.service().problem


MANAGED = "gateway.istio.io/managed: %s"


@pytest.mark.parametrize(
    ("managed", "bound"),
    [
        ("istio.io-mesh-controller", "-"),
        ("istio.io-eastwest-controller", "-"),
        ("istio.io-gateway-controller", "wp.ns1@ns1"),
    ],
)
def test_a_service_of_a_gateway_of_the_mesh_has_no_waypoint(managed: str, bound: str) -> None:
    labels = MANAGED % managed
    mesh = Bound(waypoint("all"), namespace(USE % "wp"), service(labels), pod(labels))
    assert (place(mesh.service().waypoint), mesh.service().problem) == (bound, "")
    assert place(mesh.workload().waypoint) == "wp.ns1@ns1"


PRIVATE = "test/private: ''"


def test_a_service_entry_visible_in_its_namespace_alone_has_no_waypoint_in_another() -> None:
    shared = waypoint(namespace="ns2", listeners=hbone("from: All"))
    mesh = Bound(shared, waypoint(), service(f"{USE % 'wp'}, {AT % 'ns2'}, {PRIVATE}"))
    assert mesh.service().waypoint is None
    assert "CrossNamespaceWaypointForbidden" in mesh.service().problem
    put(mesh.registry, service(f"{USE % 'wp'}, {PRIVATE}"))
    assert place(mesh.service().waypoint) == "wp.ns1@ns1"
    put(mesh.registry, service(f"{USE % 'wp'}, {AT % 'ns2'}"))
    assert place(mesh.service().waypoint) == "wp.ns2@ns2"


INSTANCE = "gateway.networking.k8s.io/gateway-name: wp"
BINDING = "ambient.istio.io/waypoint-inbound-binding: %s"


@pytest.mark.parametrize(
    ("text", "tunnel", "told"),
    [
        ("PROXY", {"protocol": "PROXY"}, False),
        ("NONE", {}, False),
        ("PROXY/15088", {"protocol": "PROXY", "port": 15088}, False),
        ("NONE/15088", {"port": 15088}, False),
        ("PROXY/", {"protocol": "PROXY"}, True),
        ("PROXY/high", {"protocol": "PROXY"}, True),
        ("PROXY/65536", {"protocol": "PROXY"}, True),
        ("PROXY/\u0661", {"protocol": "PROXY"}, True),
        pytest.param("PROXY/" + "9" * 5000, {"protocol": "PROXY"}, True, id="endless"),
        ("HBONE", None, True),
        ("proxy", None, True),
        ("''", None, True),
        ("PROXY/15088/1", None, True),
    ],
)
def test_an_instance_of_a_waypoint_is_tunneled_to_as_the_binding_says(
    text: str, tunnel: dict[str, object] | None, told: bool
) -> None:
    mesh = Bound(waypoint("all", annotations=BINDING % text), pod(f"{INSTANCE}, {USE % 'wp'}"))
    assert mesh.workload().waypoint is None
    assert as_dict(mesh.workload().application_tunnel) == tunnel
    assert list(mesh.problems()) == (["waypoints ns1/wp"] if told else [])


@pytest.mark.parametrize(
    ("of_gateway", "port"),
    [("", 15088), (BINDING % "PROXY/1", 1), (BINDING % "nonsense", None), (BINDING % "''", None)],
)
def test_the_binding_is_that_of_the_gateway_else_of_its_class(of_gateway: str, port: int | None) -> None:
    mesh = Bound(
        gateway_class(annotations=BINDING % "PROXY/15088"), waypoint(annotations=of_gateway), pod(INSTANCE)
    )
    tunnel = mesh.workload().application_tunnel
    assert (tunnel.port if tunnel else None) == port


def test_an_instance_is_bound_to_nothing_once_its_gateway_is_a_waypoint() -> None:
    other = namespace(USE % "other")
    mesh = Bound(waypoint("all", name="other"), other, pod(INSTANCE), pod(INSTANCE, "ns2"))
    assert place(mesh.workload().waypoint) == "other.ns1@ns1"
    put(mesh.registry, waypoint("all"))
    assert mesh.workload() == (None, None, "", "")
    put(mesh.registry, waypoint("all", addresses=""))
    assert place(mesh.workload().waypoint) == "other.ns1@ns1"


def test_the_service_accounts_of_a_waypoint_are_those_of_its_pods_in_its_namespace() -> None:
    mesh = Bound(
        waypoint(),
        pod(INSTANCE, name="b", account="sa-b"),
        pod(INSTANCE, name="a", account="sa-b"),
        pod(INSTANCE, name="c", account="sa-a"),
        pod(INSTANCE, "ns2", account="foreign"),
        pod(name="none", account="other"),
    )
    assert mesh.accounts("ns1/wp") == ["sa-a", "sa-b", "sa-b"]
