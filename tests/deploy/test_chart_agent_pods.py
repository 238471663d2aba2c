"""The pod of an agent: what it has of its node, and what becomes of it."""

import pytest

from tests.deploy.agents import (
    AGENTS,
    ALL,
    BOTH,
    DAEMON_SETS,
    LEASE_RIGHTS,
    OF_CPU_NODES,
    agent_flags,
    agent_of,
    mounts,
    pod_of,
    spec_of,
)
from tests.helpers.helm import Values, container, flags, one, rendered, rights
from tests.helpers.offmesh import ROOT
from xds_server.agent.settings import Discovery, LeaseSettings
from xds_server.cli.agent import agent
from xds_server.leadership.root_config_maps import KEY, NAME


@pytest.mark.parametrize("values", DAEMON_SETS)
def test_what_is_mounted_is_a_volume_and_what_is_a_volume_is_mounted(values: Values) -> None:
    objects = rendered(values)
    mounted = [mount["name"] for mount in agent_of(objects)["volumeMounts"]]
    assert sorted(mounted) == sorted(volume["name"] for volume in pod_of(objects)["volumes"])
    assert len(mounts(objects)) == len(mounted)


def test_token_and_roots_are_where_the_agent_reads_them() -> None:
    objects = rendered(AGENTS)
    default = Discovery(address="")
    token = mounts(objects)[str(default.token.parent)]["volume"]["projected"]
    assert token["sources"] == [
        {
            "serviceAccountToken": {
                "audience": "istio-ca",
                "expirationSeconds": 43200,
                "path": default.token.name,
            }
        }
    ]
    assert mounts(objects)[str(default.root_cert.parent)]["volume"]["configMap"] == {"name": NAME}
    assert default.root_cert.name == KEY


def test_the_token_is_for_the_audience_that_servers_ask_for() -> None:
    objects = rendered(ALL)
    (source,) = mounts(objects)["/var/run/secrets/tokens"]["volume"]["projected"]["sources"]
    assert f"--token-audience={source['serviceAccountToken']['audience']}" in flags(objects)


def test_what_is_kept_outlives_the_pod_in_the_default_folder() -> None:
    (state,) = [option for option in agent.params if option.name == "state_dir"]
    kept = mounts(rendered(AGENTS))[str(state.default)]
    assert not kept.get("readOnly")
    assert kept["volume"]["hostPath"] == {"path": str(state.default), "type": "DirectoryOrCreate"}


def test_namespaces_of_pods_that_start_later_are_seen() -> None:
    found = mounts(rendered(AGENTS))["/run/netns"]
    assert found["volume"]["hostPath"]["path"] == "/run/netns"
    assert found["mountPropagation"] == "HostToContainer"
    assert found["readOnly"] is True


def test_namespaces_of_pods_are_not_seen_by_who_enters_none() -> None:
    assert "/run/netns" not in mounts(rendered(ALL))


def test_of_the_node_only_what_must_be_written_can_be() -> None:
    of_node = {
        path: mount for path, mount in mounts(rendered(AGENTS)).items() if "hostPath" in mount["volume"]
    }
    assert all(mount["volume"]["hostPath"]["path"] == path for path, mount in of_node.items())
    assert {path for path, mount in of_node.items() if not mount.get("readOnly")} == {
        "/var/lib/offmesh",
        "/run/xtables.lock",
    }
    assert of_node["/run/xtables.lock"]["volume"]["hostPath"]["type"] == "FileOrCreate"


@pytest.mark.parametrize(
    ("values", "renews"), [(AGENTS, True), (OF_CPU_NODES, False), (BOTH, False)], ids=["both", "CPU", "first"]
)
def test_the_account_of_the_api_is_there_where_leases_are_renewed(values: Values, renews: bool) -> None:
    objects = rendered(values)
    assert pod_of(objects)["automountServiceAccountToken"] is renews
    assert ("--lease-namespace=istio-system" in agent_flags(objects)) is renews
    assert rights(objects, "offmesh-agent") == (LEASE_RIGHTS if renews else set())
    # What the kubelet mounts by itself: the agent is not told of another folder.
    assert str(LeaseSettings().account) == "/var/run/secrets/kubernetes.io/serviceaccount"


def test_it_is_the_nodes_network_that_is_programmed() -> None:
    pod = pod_of(rendered(AGENTS))
    assert (pod["hostNetwork"], pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")


def test_an_agent_is_root_and_writes_nothing_of_its_image() -> None:
    assert agent_of(rendered(AGENTS))["securityContext"] == {
        "privileged": True,
        "runAsUser": 0,
        "runAsGroup": 0,
        "readOnlyRootFilesystem": True,
    }


def test_the_image_has_what_an_agent_programs_nodes_with() -> None:
    *_, last = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert "--no-install-recommends iptables ipset kmod" in last
    assert agent_of(rendered(AGENTS))["image"] == container(rendered())["image"]


def test_an_agent_knows_its_node() -> None:
    told = agent_of(rendered(AGENTS))["env"]
    assert told == [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    (node,) = [option for option in agent.params if option.name == "node"]
    assert isinstance(node.envvar, list)
    assert "NODE_NAME" in node.envvar


def test_no_taint_keeps_an_agent_away_and_no_other_pod_takes_its_place() -> None:
    pod = pod_of(rendered(AGENTS))
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["priorityClassName"] == "system-node-critical"


def test_what_is_said_of_pods_is_said_of_them() -> None:
    objects = rendered(ALL)
    template, pod, made = spec_of(objects)["template"], pod_of(objects), agent_of(objects)
    assert template["metadata"]["annotations"] == {"note": "kept"}
    assert template["metadata"]["labels"]["team"] == "mesh"
    assert pod["tolerations"] == [{"key": "dpu", "operator": "Exists"}]
    assert "priorityClassName" not in pod
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert made["env"][1:] == [{"name": "OFFMESH_BACKEND", "value": "legacy"}]
    assert made["resources"]["limits"] == {"memory": "1Gi"}
    assert made["image"] == "registry.example/mesh/offmesh:1.2.3"


def test_an_update_never_puts_two_agents_on_a_node() -> None:
    strategy = spec_of(rendered(AGENTS))["updateStrategy"]
    assert (strategy["type"], strategy["rollingUpdate"]["maxSurge"]) == ("RollingUpdate", 0)


@pytest.mark.parametrize("values", DAEMON_SETS)
def test_agents_are_selected_by_their_daemon_set_and_by_nothing_that_selects_servers(values: Values) -> None:
    options: Values = {"networkPolicy": {"enabled": True}, "servers": {"enabled": True}}
    objects = rendered({**values, **options})
    labels = spec_of(objects)["template"]["metadata"]["labels"].items()
    assert spec_of(objects)["selector"]["matchLabels"].items() <= labels
    servers = one(objects, "Deployment")["spec"]
    assert (
        not spec_of(objects)["selector"]["matchLabels"].items()
        <= servers["template"]["metadata"]["labels"].items()
    )
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"):
        for item in (item for item in objects if item["kind"] == kind):
            selector = item["spec"].get("selector") or item["spec"]["podSelector"]
            assert not selector.get("matchLabels", selector).items() <= labels, item["metadata"]["name"]


@pytest.mark.parametrize("values", DAEMON_SETS)
def test_an_agent_is_of_no_mesh_whatever_labels_it_is_given(values: Values) -> None:
    labels = spec_of(rendered(values))["template"]["metadata"]["labels"]
    assert labels["istio.io/dataplane-mode"] == "none"
    assert labels["app.kubernetes.io/name"] == "offmesh-agent"
