"""What the chart lets servers and agents do: all that the program does, and nothing else."""

import pytest

from tests.deploy.agents import AGENTS, DAEMON_SETS, only_agents
from tests.helpers.helm import (
    BESIDE_ISTIOD,
    CLAIM,
    NAMESPACE,
    SECOND_CLUSTER,
    SETS,
    Right,
    Values,
    documents,
    rendered,
    rights,
)
from tests.helpers.offmesh import ROOT
from xds_server.settings import ClusterSettings
from xds_server.sources.kubernetes.kinds import (
    WatchedKind,
    agent_leases,
    dpu_kinds,
    istio_kinds,
    mesh_kinds,
    one_config_map,
)

DPU_CLUSTER = documents((ROOT / "deploy" / "kubernetes" / "dpu-cluster.yaml").read_text())
SETTINGS = ClusterSettings()
TOKENS = {
    Right("", "create", "tokenreviews.authentication.k8s.io"),
    Right("", "get", "/.well-known/openid-configuration"),
    Right("", "get", "/openid/v1/jwks"),
}
ROOT_CONFIG_MAPS = {
    Right("", "create", "configmaps"),
    *(Right("", verb, "configmaps", "istio-ca-root-cert") for verb in ("list", "watch", "patch")),
}
REPORTS = {
    Right("", "patch", "nodes/status"),
    Right("default", "create", "events"),
}
ELECTION = {
    Right(NAMESPACE, "create", "leases.coordination.k8s.io"),
    Right(NAMESPACE, "get", "leases.coordination.k8s.io", SETTINGS.leader_lease),
    Right(NAMESPACE, "update", "leases.coordination.k8s.io", SETTINGS.leader_lease),
}
AUTHORITY = {
    Right(NAMESPACE, "create", "secrets"),
    *(
        Right(NAMESPACE, verb, "secrets", name)
        for verb in ("get", "watch", "update")
        for name in (*SETTINGS.ca_secrets, "offmesh-ca-rotation")
    ),
}


def followed(*kinds: WatchedKind) -> set[Right]:
    """Return the rights to list and watch kinds; one that is selected by name needs just that one."""
    return {
        Right(kind.namespace, verb, f"{kind.plural}.{kind.group}" if kind.group else kind.plural, name)
        for kind in kinds
        for name in (kind.selectors.get("fieldSelector", "").partition("metadata.name=")[2],)
        for verb in ("list", "watch")
    }


ELSEWHERE: Values = {
    "placement": {"configMap": {"namespace": "kube-system", "name": "map"}},
    "liveness": {"leaseNamespace": "dpus"},
}
EVER = followed(*mesh_kinds(), one_config_map(NAMESPACE, "offmesh-conf")) | TOKENS | ELECTION
OPTIONAL = followed(*istio_kinds(NAMESPACE, "istio"))
LEASES = followed(agent_leases(NAMESPACE))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, EVER | OPTIONAL | LEASES | ROOT_CONFIG_MAPS | REPORTS | AUTHORITY),
        (
            {
                "rbac": {"istioResources": False},
                "liveness": {"reports": False},
                "certificateAuthority": {"rootConfigMaps": False, "volume": CLAIM},
            },
            EVER | LEASES,
        ),
        (SECOND_CLUSTER, EVER | OPTIONAL | ROOT_CONFIG_MAPS | REPORTS | AUTHORITY),
    ],
    ids=["defaults", "all off", "second cluster"],
)
def test_servers_may_do_what_they_do_and_nothing_else(values: Values, expected: set[Right]) -> None:
    assert rights(rendered(values)) == expected


def test_servers_may_do_in_a_second_cluster_what_they_do_there_and_nothing_else() -> None:
    read = followed(*dpu_kinds(), agent_leases(NAMESPACE))
    assert rights(DPU_CLUSTER) == read | TOKENS | ROOT_CONFIG_MAPS


@pytest.mark.parametrize("values", [*SETS, *DAEMON_SETS])
def test_nobody_may_read_secrets_but_those_of_the_authority(values: Values) -> None:
    objects = rendered(values)
    for right in rights(objects) | rights(objects, "offmesh-agent"):
        if right.resource in ("secrets", "*"):
            assert right.namespace == NAMESPACE
            assert right.name or right.verb == "create"


@pytest.mark.parametrize("values", [*SETS, *DAEMON_SETS])
def test_no_right_is_for_whatever_there_is(values: Values) -> None:
    objects = rendered(values)
    granted = rights(objects) | rights(objects, "offmesh-agent")
    assert not [right for right in granted if any("*" in part for part in right)]


def test_agents_bring_their_rights_to_a_second_cluster_themselves() -> None:
    assert not rights(DPU_CLUSTER, "offmesh-agent")
    places = {(item["kind"], item["metadata"]["name"]) for item in DPU_CLUSTER}
    assert not places & {(item["kind"], item["metadata"]["name"]) for item in only_agents()}


def test_agents_take_and_give_no_right_of_servers() -> None:
    assert rights(rendered(AGENTS)) == rights(rendered())


def test_rights_are_where_map_and_leases_are() -> None:
    elsewhere = rights(rendered(ELSEWHERE))
    assert followed(one_config_map("kube-system", "map"), agent_leases("dpus")) <= elsewhere
    assert not followed(one_config_map(NAMESPACE, "offmesh-conf")) & elsewhere
    assert not LEASES & elsewhere


def test_the_rights_to_the_meshs_settings_follow_root_namespace_and_revision() -> None:
    granted = rights(rendered({"mesh": {"rootNamespace": "mesh-root", "revision": "canary"}}))
    assert followed(*istio_kinds("mesh-root", "istio-canary")) <= granted
    assert not granted >= OPTIONAL


def test_beside_istiod_the_roots_are_left_to_it() -> None:
    assert not ROOT_CONFIG_MAPS & rights(rendered(files=[BESIDE_ISTIOD]))


@pytest.mark.parametrize("values", [*SETS, *DAEMON_SETS])
def test_every_account_that_is_named_is_there(values: Values) -> None:
    objects = rendered(values, namespace="mesh")
    there = {item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"}
    pods = [
        item["spec"]["template"]["spec"] for item in objects if item["kind"] in ("Deployment", "DaemonSet")
    ]
    named = {pod["serviceAccountName"] for pod in pods}
    for item in objects:
        for subject in item.get("subjects", ()):
            assert subject["namespace"] == "mesh"
            named.add(subject["name"])
    assert named == there


def test_two_releases_do_not_meet() -> None:
    def places(namespace: str) -> set[tuple[str, str, str]]:
        return {
            (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])
            for item in rendered({**ELSEWHERE, **AGENTS}, namespace=namespace)
        }

    assert not places("mesh-a") & places("mesh-b")
