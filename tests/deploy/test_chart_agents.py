"""What the chart makes of agents: where they run, what they are told, and what servers are told of them."""

import pytest

from tests.deploy.agents import (
    AGENTS,
    ALL,
    BOTH,
    DAEMON_SETS,
    ELSEWHERE,
    LEASE_RIGHTS,
    ONLY_AGENTS_FILE,
    agent_flags,
    only_agents,
    pod_of,
)
from tests.helpers.helm import NAMESPACE, SETS, Values, flags, names, one, pod_spec, rendered, rights
from xds_server.cli.agent import agent
from xds_server.settings import IdentitySettings


@pytest.mark.parametrize("values", SETS)
def test_nothing_of_agents_is_there_unless_asked_for(values: Values) -> None:
    objects = rendered(values)
    assert not names(objects, "DaemonSet")
    assert not [item for item in objects if item["metadata"]["name"].endswith("agent")]
    assert not rights(objects, "offmesh-agent")


@pytest.mark.parametrize("values", DAEMON_SETS)
def test_every_flag_is_one_of_the_agent_with_a_value_it_takes(values: Values) -> None:
    given = agent_flags(rendered(values))
    agent.make_context("agent", [*given, "--node=dpu-a"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            AGENTS,
            {
                "--discovery-address=offmesh.istio-system.svc:15012",
                "--on-exit=keep",
                "--when-ztunnel-is-gone=plain",
                "--pod-routes",
                "--ztunnel-netns",
                "--lease-namespace=istio-system",
                "--log-level=info",
                "--log-format=json",
            },
        ),
        (
            ALL,
            {
                "--discovery-address=mesh.example:15012",
                "--on-exit=remove",
                "--when-ztunnel-is-gone=block",
                "--no-pod-routes",
                "--no-ztunnel-netns",
                "--lease-namespace=dpus",
                "--log-level=debug",
                "--log-format=text",
            },
        ),
    ],
)
def test_values_become_flags(values: Values, expected: set[str]) -> None:
    assert set(agent_flags(rendered(values))) == expected


def test_by_default_an_agent_asks_the_service_of_its_release() -> None:
    objects = rendered(AGENTS, namespace="mesh")
    assert "--discovery-address=offmesh.mesh.svc:15012" in agent_flags(objects)
    service = one(objects, "Service")
    assert (service["metadata"]["namespace"], service["spec"]["ports"][0]["port"]) == ("mesh", 15012)
    assert "--tls-san=offmesh.mesh.svc" in flags(objects)


@pytest.mark.parametrize("namespace", [NAMESPACE, "mesh"])
def test_the_servers_know_the_account_of_the_agents(namespace: str) -> None:
    objects = rendered(AGENTS, namespace=namespace)
    (told,) = [flag for flag in flags(objects) if flag.startswith("--agent-accounts=")]
    account = one(objects, "ServiceAccount", pod_of(objects)["serviceAccountName"])["metadata"]
    assert told == f"--agent-accounts={account['namespace']}/{account['name']}"


def test_the_account_is_the_one_that_servers_know_without_being_told() -> None:
    account = one(rendered(AGENTS), "ServiceAccount", "offmesh-agent")["metadata"]
    assert IdentitySettings().agent_accounts == {f"{account['namespace']}/{account['name']}"}


def test_the_datapath_is_what_servers_tell() -> None:
    assert {"--tunnel-type=geneve", "--no-capture-dns"} <= set(flags(rendered()))
    other: Values = {"datapath": {"tunnelType": "vxlan", "captureDns": True}}
    assert {"--tunnel-type=vxlan", "--capture-dns"} <= set(flags(rendered(other)))


def test_agents_renew_leases_where_servers_look_for_them() -> None:
    objects = rendered(ALL)
    assert "--lease-namespace=dpus" in flags(objects)
    assert rights(objects, "offmesh-agent") == {right._replace(namespace="dpus") for right in LEASE_RIGHTS}


LABELLED = {"key": "offMeshNodeType", "operator": "In"}
BARE = {"key": "offMeshNodeType", "operator": "DoesNotExist"}


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (["cpu", "dpu"], [LABELLED | {"values": ["cpu", "dpu"]}]),
        (["dpu"], [LABELLED | {"values": ["dpu"]}]),
        (["cpu", "single", "dpu"], [LABELLED | {"values": ["cpu", "dpu"]}, BARE]),
        (["single"], [BARE]),
    ],
)
def test_agents_run_on_nodes_of_the_types_that_are_named(types: list[str], expected: list[object]) -> None:
    pod = pod_of(rendered({"agent": {"enabled": True, "nodeTypes": types}}))
    needed = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert needed == {"nodeSelectorTerms": [{"matchExpressions": [match]} for match in expected]}


def test_the_servers_are_the_same_with_agents_and_without() -> None:
    assert pod_spec(rendered(AGENTS)) == pod_spec(rendered())


def test_agents_alone_are_a_daemon_set_with_its_account_and_rights() -> None:
    assert sorted((item["kind"], item["metadata"]["name"]) for item in only_agents()) == [
        ("DaemonSet", "offmesh-agent"),
        ("Role", "offmesh-istio-system-agent"),
        ("RoleBinding", "offmesh-istio-system-agent"),
        ("ServiceAccount", "offmesh-agent"),
    ]


def test_without_servers_no_option_of_theirs_is_there() -> None:
    options: Values = {
        "placement": {"pairs": [{"cpuNodeIP": "192.0.2.1", "dpuNodeIP": "192.0.2.2"}]},
        "http": {"expose": True},
        "autoscaling": {"enabled": True},
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "networkPolicy": {"enabled": True},
    }
    with_options = rendered({**options, **ELSEWHERE}, files=[ONLY_AGENTS_FILE])
    assert with_options == only_agents()


def test_agents_alone_run_on_dpu_nodes_and_renew_their_leases() -> None:
    objects = only_agents()
    needed = pod_of(objects)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert needed["nodeSelectorTerms"] == [{"matchExpressions": [LABELLED | {"values": ["dpu"]}]}]
    assert {"--lease-namespace=istio-system", "--discovery-address=mesh.example:15012"} <= set(
        agent_flags(objects)
    )
    assert rights(objects, "offmesh-agent") == LEASE_RIGHTS


def test_in_two_clusters_the_servers_look_for_leases_where_the_agents_of_the_second_renew_them() -> None:
    (looked,) = [flag for flag in flags(rendered(BOTH)) if flag.startswith("--lease-namespace=")]
    assert looked in agent_flags(only_agents())
    assert not rights(only_agents())
