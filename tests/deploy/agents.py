"""The chart with agents, and what is in it of them."""

from typing import Any

import pytest

from tests.helpers.helm import CHART, NAMESPACE, SECOND_CLUSTER, Object, Right, Values, one, rendered

AGENTS: Values = {"agent": {"enabled": True}}
ALL: Values = {
    "agent": {
        "enabled": True,
        "onExit": "remove",
        "whenZtunnelIsGone": "block",
        "podRoutes": False,
        "ztunnelNetns": False,
        "nodeTypes": ["dpu", "single"],
        "discoveryAddress": "mesh.example:15012",
        "tolerations": [{"key": "dpu", "operator": "Exists"}],
        "priorityClassName": "",
        "podLabels": {
            "team": "mesh",
            "istio.io/dataplane-mode": "ambient",
            "app.kubernetes.io/name": "offmesh",
        },
        "podAnnotations": {"note": "kept"},
        "env": [{"name": "OFFMESH_BACKEND", "value": "legacy"}],
        "resources": {"limits": {"memory": "1Gi"}},
    },
    "image": {"repository": "registry.example/mesh/offmesh", "tag": "1.2.3"},
    "imagePullSecrets": ["registry"],
    "liveness": {"leaseNamespace": "dpus"},
    "logs": {"level": "debug", "format": "text"},
    "identity": {"tokenAudience": "mesh"},
}
ONLY_AGENTS_FILE = CHART / "values-agents.yaml"
ELSEWHERE: Values = {"agent": {"discoveryAddress": "mesh.example:15012"}}
ALONE: Values = {"servers": {"enabled": False}, "agent": AGENTS["agent"] | ELSEWHERE["agent"]}
OF_CPU_NODES: Values = {"agent": {"enabled": True, "nodeTypes": ["cpu"]}}
BOTH: Values = {**AGENTS, **SECOND_CLUSTER}
DAEMON_SETS = [
    pytest.param(AGENTS, id="defaults"),
    pytest.param(ALL, id="all"),
    pytest.param(OF_CPU_NODES, id="CPU nodes"),
    pytest.param(BOTH, id="first of two clusters"),
    pytest.param(ALONE, id="agents alone"),
]
LEASE_RIGHTS = {Right(NAMESPACE, verb, "leases.coordination.k8s.io") for verb in ("create", "patch")}


def only_agents() -> list[Object]:
    return rendered(ELSEWHERE, files=[ONLY_AGENTS_FILE])


def spec_of(objects: list[Object]) -> Any:
    return one(objects, "DaemonSet", "offmesh-agent")["spec"]


def pod_of(objects: list[Object]) -> Any:
    return spec_of(objects)["template"]["spec"]


def agent_of(objects: list[Object]) -> Any:
    (only,) = pod_of(objects)["containers"]
    return only


def agent_flags(objects: list[Object]) -> list[str]:
    subcommand, *given = agent_of(objects)["args"]
    assert subcommand == "agent"
    return list(given)


def mounts(objects: list[Object]) -> dict[str, Any]:
    """Return where each path of the agent comes from: its volume, and how it is mounted."""
    volumes = {volume["name"]: volume for volume in pod_of(objects)["volumes"]}
    return {
        mount["mountPath"]: mount | {"volume": volumes[mount["name"]]}
        for mount in agent_of(objects)["volumeMounts"]
    }
