"""What the chart makes of its values, by a real helm."""

import pytest
import yaml

from tests.deploy.agents import AGENTS, DAEMON_SETS
from tests.helpers.helm import (
    BESIDE_ISTIOD,
    CHART,
    EVERYTHING,
    PAIR,
    SETS,
    Values,
    container,
    flags,
    helm,
    names,
    one,
    pod_spec,
    rendered,
    rendering,
)
from tests.helpers.offmesh import ROOT
from xds_server import __version__
from xds_server.sources.placement.parse import parse_placement_map

PLAIN = ROOT / "deploy" / "kubernetes" / "offmesh.yaml"
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}


def test_helm_finds_nothing_to_criticize() -> None:
    made = helm("lint", "--strict", str(CHART))
    assert made.returncode == 0, made.stdout


def test_the_plain_manifests_are_the_chart_with_its_default_values() -> None:
    assert PLAIN.read_text() == rendering(), "deploy/README.md has the command that renders them"


def test_chart_and_program_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    assert container(rendered())["image"] == f"offmesh:{__version__}"


@pytest.mark.parametrize("values", [*SETS, *DAEMON_SETS])
def test_every_object_says_where_and_whose_it_is(values: Values) -> None:
    for item in rendered(values):
        metadata = item["metadata"]
        assert ("namespace" in metadata) == (item["kind"] not in CLUSTER_WIDE), metadata["name"]
        assert metadata["labels"]["app.kubernetes.io/part-of"] == "offmesh", metadata["name"]
        of_agents = metadata["name"].endswith("agent")
        assert metadata["labels"]["app.kubernetes.io/name"] == ("offmesh-agent" if of_agents else "offmesh")
        assert metadata["labels"]["app.kubernetes.io/version"] == __version__, metadata["name"]


def test_no_object_is_there_twice() -> None:
    made = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in rendered({**EVERYTHING, **AGENTS})
    ]
    assert len(made) == len(set(made))


@pytest.mark.parametrize("values", SETS)
def test_whatever_selects_pods_selects_the_pods_of_the_deployment(values: Values) -> None:
    objects = rendered(values)
    deployment = one(objects, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    selectors = [deployment["selector"]["matchLabels"], spread["labelSelector"]["matchLabels"]]
    for item in objects:
        spec = item.get("spec", {})
        if item["kind"] == "Service":
            selectors.append(spec["selector"])
        if item["kind"] == "PodDisruptionBudget":
            selectors.append(spec["selector"]["matchLabels"])
        if item["kind"] == "NetworkPolicy":
            selectors.append(spec["podSelector"]["matchLabels"])
    assert all(selector and selector.items() <= labels for selector in selectors)


@pytest.mark.parametrize("values", SETS)
def test_whatever_names_a_port_names_one_of_the_container(values: Values) -> None:
    objects = rendered(values)
    ports = {port["name"] for port in container(objects)["ports"]}
    named = {container(objects)[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")}
    for service in (item for item in objects if item["kind"] == "Service"):
        named |= {port["targetPort"] for port in service["spec"]["ports"]}
    for policy in (item for item in objects if item["kind"] == "NetworkPolicy"):
        named |= {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert named <= ports


def test_the_monitor_scrapes_a_port_that_just_one_of_its_services_has() -> None:
    objects = rendered(EVERYTHING)
    monitor = one(objects, "ServiceMonitor")
    selected = [
        item["metadata"]["name"]
        for item in objects
        if item["kind"] == "Service"
        and monitor["spec"]["selector"]["matchLabels"].items() <= item["metadata"]["labels"].items()
        and monitor["spec"]["endpoints"][0]["port"] in [port["name"] for port in item["spec"]["ports"]]
    ]
    assert selected == ["offmesh"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_a_pod_may_do_next_to_nothing() -> None:
    objects = rendered()
    assert pod_spec(objects)["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(objects)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "USER 65532:65532" in (ROOT / "Dockerfile").read_text()


def test_a_pod_is_of_no_mesh_whatever_labels_it_is_given() -> None:
    labels = one(rendered(EVERYTHING), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels["istio.io/dataplane-mode"] == "none"
    assert labels["team"] == "mesh"


def test_a_pod_knows_its_name_and_namespace() -> None:
    told = {item["name"]: item["valueFrom"]["fieldRef"]["fieldPath"] for item in container(rendered())["env"]}
    assert told == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}


@pytest.mark.parametrize("values", SETS)
def test_what_is_mounted_is_a_volume_and_what_is_a_volume_is_mounted(values: Values) -> None:
    objects = rendered(values)
    mounts = [mount["name"] for mount in container(objects)["volumeMounts"]]
    assert sorted(mounts) == sorted(volume["name"] for volume in pod_spec(objects)["volumes"])


@pytest.mark.parametrize("seconds", [0, 0.5, 10, 45, 600])
def test_a_pod_is_not_killed_while_it_drains(seconds: float) -> None:
    objects = rendered({"streams": {"drainSeconds": seconds}})
    assert f"--drain-seconds={seconds}" in flags(objects)
    assert pod_spec(objects)["terminationGracePeriodSeconds"] >= seconds + 10


def test_a_rollout_takes_no_server_away_before_there_is_a_new_one() -> None:
    assert one(rendered(), "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"repository": "registry.example:5000/offmesh"}, f"registry.example:5000/offmesh:{__version__}"),
        ({"tag": "edge"}, "offmesh:edge"),
        ({"tag": "edge", "digest": "sha256:" + "a" * 64}, "offmesh@sha256:" + "a" * 64),
    ],
)
def test_an_image_is_named_by_tag_or_digest(image: dict[str, str], expected: str) -> None:
    assert container(rendered({"image": image}))["image"] == expected


@pytest.mark.parametrize(
    ("values", "kind", "there"),
    [
        ({}, "PodDisruptionBudget", True),
        ({"podDisruptionBudget": {"enabled": False}}, "PodDisruptionBudget", False),
        ({}, "HorizontalPodAutoscaler", False),
        ({}, "ServiceMonitor", False),
        ({}, "PrometheusRule", False),
        ({}, "NetworkPolicy", False),
        ({}, "ConfigMap", False),
        (EVERYTHING, "HorizontalPodAutoscaler", True),
        (EVERYTHING, "ServiceMonitor", True),
        (EVERYTHING, "PrometheusRule", True),
        (EVERYTHING, "NetworkPolicy", True),
        (EVERYTHING, "ConfigMap", True),
    ],
)
def test_options_are_there_when_asked_for(values: Values, kind: str, there: bool) -> None:
    assert bool(names(rendered(values), kind)) == there


def test_an_autoscaler_is_not_contradicted_by_a_number_of_replicas() -> None:
    assert one(rendered(), "Deployment")["spec"]["replicas"] == 2
    assert "replicas" not in one(rendered(EVERYTHING), "Deployment")["spec"]


def test_servers_run_on_cpu_nodes_unless_told_otherwise() -> None:
    assert pod_spec(rendered())["nodeSelector"] == {"offMeshNodeType": "cpu"}
    assert "nodeSelector" not in pod_spec(rendered({"nodeSelector": {"offMeshNodeType": None}}))


def test_the_placement_map_that_is_written_is_the_one_of_the_values() -> None:
    written = one(rendered(EVERYTHING), "ConfigMap", "offmesh-conf")
    placement = parse_placement_map(written["data"]["cluster-conf.yaml"].encode(), "the chart")
    (pair,) = placement.pairs
    assert (pair.cpu_node_ip, pair.dpu_node_ip, pair.cpu_node_name) == tuple(PAIR.values())
    assert [(single.node_ip, single.node_name) for single in placement.singles] == [
        ("192.168.50.141", None),
        ("fd00::5", "plain"),
    ]


def test_the_placement_map_outlives_the_release() -> None:
    written = one(rendered(EVERYTHING), "ConfigMap", "offmesh-conf")
    assert written["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_debug_http_is_reached_from_outside_the_pod_only_when_asked_for() -> None:
    shut, opened = one(rendered(), "Service"), one(rendered(EVERYTHING), "Service")
    assert [port["port"] for port in shut["spec"]["ports"]] == [15012]
    assert [port["port"] for port in opened["spec"]["ports"]] == [15012, 15014]


def test_a_network_policy_lets_only_the_named_read_debug_http() -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    policy: Values = {"http": {"expose": True}, "networkPolicy": {"enabled": True, "httpFrom": [prometheus]}}
    everybody, readers = one(rendered(policy), "NetworkPolicy")["spec"]["ingress"]
    assert ([port["port"] for port in everybody["ports"]], "from" in everybody) == (
        ["tls-xds", "health"],
        False,
    )
    assert ([port["port"] for port in readers["ports"]], readers["from"]) == (["http"], [prometheus])


def test_beside_istiod_nothing_of_istiod_is_touched() -> None:
    objects = rendered(files=[BESIDE_ISTIOD])
    assert names(objects, "Service") == {"offmesh"}
    assert "--no-root-config-maps" in flags(objects)
    assert "--ca-secrets=cacerts,istio-ca-secret" in flags(objects)
