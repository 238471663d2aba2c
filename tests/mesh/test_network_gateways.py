"""Gateways to other networks: the workloads they are, and what leads through them (facts wds, 2.7)."""

import dataclasses

import pytest

from tests.helpers.objects import put, remove
from tests.mesh.bound import as_dict
from xds_server.mesh.networks import Networks
from xds_server.objects.gateway_api import Gateway
from xds_server.objects.kinds import KINDS
from xds_server.objects.kubernetes import Namespace, Pod
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.settings import MeshSettings
from xds_server.store.derive import Derivation, Mapped
from xds_server.store.graph import Graph
from xds_server.store.registry import Registry

SETTINGS = MeshSettings(cluster_id="cluster0", network="testnetwork")
IP = "{type: IPAddress, value: 9.9.9.9}"
HOST = "{type: Hostname, value: networkgateway.example.com}"
HBONE = "{port: 15008, protocol: HBONE}"
ASKED = "{kind: Pod, metadata: {name: asked, namespace: ns, labels: {network: %s}}}"


def gateway(
    addresses: str = IP,
    listeners: str = HBONE,
    *,
    name: str = "gw",
    labels: str = "topology.istio.io/network: remote",
    annotations: str = "",
    of_class: str = "istio-remote",
) -> str:
    meta = f"{{name: {name}, namespace: ns-gtw, labels: {{{labels}}}, annotations: {{{annotations}}}}}"
    return (
        f"{{kind: Gateway, metadata: {meta}, spec: {{gatewayClassName: {of_class}, "
        f"listeners: [{listeners}]}}, status: {{addresses: [{addresses}]}}}}"
    )


class Reached:
    """Networks alone, and a pod that asks by a label for the gateway of one."""

    def __init__(self, *texts: str, settings: MeshSettings = SETTINGS) -> None:
        self.graph = Graph()
        self.registry = Registry(self.graph, KINDS.values())
        self.networks = Networks(self.graph, self.registry.of(Namespace), self.registry.of(Gateway), settings)
        self._asked = Mapped(
            self.graph,
            "asked",
            self.registry.of(Pod),
            lambda fetch, _, pod: self.networks.gateway_of(fetch, pod.labels["network"]),
        )
        for text in (*texts, ASKED % "remote"):
            put(self.registry, text)

    def workloads(self) -> dict[str, dict[str, object] | None]:
        rows = self.networks.addresses.rows.values()
        return {row.name: as_dict(api.Address.FromString(row.body).workload) for row in rows}

    def aliases(self) -> list[tuple[str, ...]]:
        return [row.aliases for row in self.networks.addresses.rows.values()]

    @property
    def gateway(self) -> dict[str, object] | None:
        return as_dict(self._asked.get("ns/asked"))

    def problems(self) -> dict[str, str]:
        return {
            key: problem
            for item in self.graph.collections
            if isinstance(item, Derivation)
            for key, problem in item.problems.items()
        }


def test_a_gateway_with_an_ip_address_is_a_workload_of_its_network() -> None:
    mesh = Reached(gateway())
    uid = "NetworkGateway/remote/9.9.9.9/15008"
    assert mesh.workloads() == {
        uid: {
            "uid": uid,
            "name": uid,
            "namespace": "ns-gtw",
            "addresses": ["CQkJCQ=="],
            "network": "remote",
            "service_account": "gw-istio-remote",
        }
    }
    assert mesh.aliases() == [("remote/9.9.9.9",)]


def test_a_gateway_with_a_host_is_a_workload_without_addresses() -> None:
    mesh = Reached(gateway(HOST))
    uid = "NetworkGateway/remote/networkgateway.example.com/15008"
    assert mesh.workloads() == {
        uid: {
            "uid": uid,
            "name": uid,
            "namespace": "ns-gtw",
            "hostname": "networkgateway.example.com",
            "network": "remote",
            "service_account": "gw-istio-remote",
        }
    }
    assert mesh.aliases() == [()]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (
            IP,
            {"address": {"network": "remote", "address": "CQkJCQ=="}, "hbone_mtls_port": 15008},
        ),
        (
            HOST,
            {
                "hostname": {"namespace": "ns-gtw", "hostname": "networkgateway.example.com"},
                "hbone_mtls_port": 15008,
            },
        ),
        (
            "{type: IPAddress, value: 9.9.9}",
            {"hostname": {"namespace": "ns-gtw", "hostname": "9.9.9"}, "hbone_mtls_port": 15008},
        ),
    ],
)
def test_workloads_of_a_network_are_reached_through_its_gateway(
    addresses: str, expected: dict[str, object]
) -> None:
    assert Reached(gateway(addresses)).gateway == expected


@pytest.mark.parametrize(
    ("described", "told"),
    [
        (gateway(of_class="istio-waypoint"), {}),
        (gateway(of_class="istio-east-west"), {}),
        (gateway(labels=""), {}),
        (gateway(labels="topology.istio.io/network: ''"), {}),
        (gateway(""), {}),
        (gateway("{value: 9.9.9.9}, {type: example.com/Named, value: gw}"), {}),
        (
            gateway(listeners="{port: 15008, protocol: HTTPS}"),
            {
                "ns-gtw/gw": "spec.listeners has no listener of protocol HBONE: "
                "expected one, it leads to no network"
            },
        ),
    ],
)
def test_another_gateway_leads_nowhere(described: str, told: dict[str, str]) -> None:
    mesh = Reached(described)
    assert mesh.workloads() == {}
    assert (mesh.gateway, mesh.problems()) == (None, told)


def test_a_gateway_leads_to_its_own_network_alone() -> None:
    assert Reached(gateway(labels="topology.istio.io/network: another")).gateway is None


@pytest.mark.parametrize(("address", "text"), [(IP, "9.9.9.9"), (HOST, "networkgateway.example.com")])
def test_the_first_hbone_listener_gives_the_port(address: str, text: str) -> None:
    listeners = "{port: 443, protocol: TLS}, {port: 15009, protocol: HBONE}, " + HBONE
    mesh = Reached(gateway(address, listeners))
    assert list(mesh.workloads()) == [f"NetworkGateway/remote/{text}/15009"]
    assert mesh.gateway is not None
    assert mesh.gateway["hbone_mtls_port"] == 15009


@pytest.mark.parametrize(("account", "expected"), [("own-sa", "own-sa"), ("''", None)])
def test_the_service_account_is_what_the_annotation_says(account: str, expected: str | None) -> None:
    (made,) = (
        Reached(gateway(annotations=f"gateway.istio.io/service-account: {account}")).workloads().values()
    )
    assert made is not None
    assert made.get("service_account") == expected


def test_another_trust_domain_is_told() -> None:
    (made,) = (
        Reached(gateway(), settings=dataclasses.replace(SETTINGS, trust_domain="td")).workloads().values()
    )
    assert made is not None
    assert made["trust_domain"] == "td"


def test_each_address_is_a_workload_and_the_first_in_the_status_leads_to_the_network() -> None:
    addresses = f"{HOST}, {IP}, {IP}, {{type: IPAddress, value: '2001:DB8::1'}}"
    mesh = Reached(gateway(addresses))
    assert sorted(mesh.workloads()) == [
        "NetworkGateway/remote/2001:DB8::1/15008",
        "NetworkGateway/remote/9.9.9.9/15008",
        "NetworkGateway/remote/networkgateway.example.com/15008",
    ]
    assert sorted(mesh.aliases()) == [(), ("remote/2001:db8::1",), ("remote/9.9.9.9",)]
    assert mesh.gateway is not None
    assert "hostname" in mesh.gateway


def test_of_several_gateways_the_first_by_namespace_and_name_leads_to_a_network() -> None:
    mesh = Reached(gateway(HOST, name="b"), gateway(IP, name="c"))
    assert mesh.gateway is not None
    assert "hostname" in mesh.gateway
    put(mesh.registry, gateway("{type: IPAddress, value: 9.9.9.8}", name="a"))
    assert mesh.gateway == {
        "address": {"network": "remote", "address": "CQkJCA=="},
        "hbone_mtls_port": 15008,
    }
    for name in "abc":
        remove(mesh.registry, Gateway, f"ns-gtw/{name}")
    assert mesh.gateway is None
    assert mesh.workloads() == {}


def test_two_gateways_with_one_address_are_one_workload() -> None:
    mesh = Reached(gateway(name="a"), gateway(name="b"))
    (made,) = mesh.workloads().values()
    assert made is not None
    assert made["service_account"] == "a-istio-remote"
    assert "that of Gateway ns-gtw/a already" in mesh.problems()["ns-gtw/b/000"]
    remove(mesh.registry, Gateway, "ns-gtw/a")
    (made,) = mesh.workloads().values()
    assert made is not None
    assert (made["service_account"], mesh.problems()) == ("b-istio-remote", {})


def test_the_local_network_may_have_a_gateway_like_any_other() -> None:
    mesh = Reached(gateway(labels="topology.istio.io/network: testnetwork"))
    put(mesh.registry, ASKED % "testnetwork")
    assert mesh.gateway is not None
