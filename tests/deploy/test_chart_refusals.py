"""Which values the chart does not take, and what it says."""

import pytest

from tests.helpers.helm import PAIR, Values, refusal

REFUSALS: list[tuple[Values, str]] = [
    ({"replica": 2}, "additional properties 'replica' not allowed"),
    ({"mesh": {"trustdomain": "x"}}, "at '/mesh': additional properties 'trustdomain' not allowed"),
    ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
    ({"replicas": "two"}, "at '/replicas': got string, want integer"),
    ({"image": {"pullPolicy": "Sometimes"}}, "value must be one of 'Always', 'IfNotPresent', 'Never'"),
    ({"image": {"digest": "sha256:abc"}}, "at '/image/digest'"),
    ({"mesh": {"rootNamespace": "Istio_System"}}, "at '/mesh/rootNamespace'"),
    ({"identity": {"trustedNodeAccounts": "istio-system/ztunnel"}}, "got string, want array"),
    ({"identity": {"trustedNodeAccounts": ["ztunnel"]}}, 'has "ztunnel": expected namespace/name'),
    ({"certificateAuthority": {"secrets": ["a", "a"]}}, "items at 0 and 1 are equal"),
    (
        {"certificateAuthority": {"secrets": []}},
        "certificateAuthority.secrets is empty: expected names of Secrets, or certificateAuthority.volume",
    ),
    (
        {"certificateAuthority": {"volume": {"emptyDir": {}}}},
        "certificateAuthority.volume is an emptyDir: expected one that replicas share",
    ),
    (
        {"certificateAuthority": {"volume": {"emptyDir": {}, "secret": {}}}},
        "at '/certificateAuthority/volume'",
    ),
    ({"placement": {"pairs": [{"cpuNodeIP": "10.0.0.1"}]}}, "missing property 'dpuNodeIP'"),
    ({"placement": {"pairs": [PAIR | {"cpuNodeIp": ""}]}}, "additional properties 'cpuNodeIp' not allowed"),
    ({"placement": {"pairs": [PAIR | {"cpuNodeIP": "10.0.0"}]}}, "'10.0.0' is not valid ipv4"),
    ({"placement": {"singles": ["plain1"]}}, "'plain1' is not valid ipv4"),
    ({"placement": {"singles": [{"nodeName": "plain1"}]}}, "missing property 'nodeIP'"),
    ({"liveness": {"unhealthyPairs": "kill"}}, "must be one of 'unhealthy', 'withdraw', 'ignore'"),
    ({"streams": {"drainSeconds": -1}}, "at '/streams/drainSeconds': minimum: got -1, want 0"),
    ({"logs": {"level": "trace"}}, "must be one of 'debug', 'info', 'warning', 'error'"),
    ({"services": {"offmesh": {"type": "ExternalName"}}}, "'ClusterIP', 'NodePort', 'LoadBalancer'"),
    ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "at '/podDisruptionBudget/maxUnavailable'"),
    (
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
        "autoscaling.minReplicas is 3: expected at most maxReplicas, 2",
    ),
    (
        {"autoscaling": {"enabled": True}, "resources": {"requests": None}},
        "autoscaling.enabled is true: expected resources.requests.cpu",
    ),
    (
        {"serviceMonitor": {"enabled": True}},
        "serviceMonitor.enabled is true: expected http.expose: true",
    ),
    (
        {"prometheusRule": {"enabled": True}},
        "prometheusRule.enabled is true: expected http.expose: true",
    ),
    ({"servers": {"enabled": None}}, "at '/servers': missing property 'enabled'"),
    (
        {"servers": {"enabled": False}},
        "servers.enabled and agent.enabled are false: expected one of them to be true",
    ),
    (
        {"servers": {"enabled": False}, "agent": {"enabled": True}},
        "servers.enabled is false: expected agent.discoveryAddress",
    ),
    (
        {
            "servers": {"enabled": False},
            "agent": {"enabled": True, "discoveryAddress": "mesh.example:15012"},
            "dpuCluster": {"kubeconfigSecret": "dpus"},
        },
        "expected dpuCluster.kubeconfigSecret in the release of the servers, not in this one",
    ),
    ({"agent": {"onExit": "stay"}}, "at '/agent/onExit': value must be one of 'keep', 'remove'"),
    ({"agent": {"whenZtunnelIsGone": "drop"}}, "value must be one of 'plain', 'block'"),
    ({"agent": {"podRoutes": "no"}}, "at '/agent/podRoutes': got string, want boolean"),
    ({"agent": {"nodeTypes": []}}, "at '/agent/nodeTypes': minItems: got 0, want 1"),
    ({"agent": {"nodeTypes": ["cpu", "cpu"]}}, "items at 0 and 1 are equal"),
    ({"agent": {"nodeTypes": ["gpu"]}}, "value must be one of 'cpu', 'dpu', 'single'"),
    ({"agent": {"discoveryAddress": "mesh.example"}}, "at '/agent/discoveryAddress'"),
    ({"agent": {"discoveryAddress": "https://mesh.example:15012"}}, "at '/agent/discoveryAddress'"),
    ({"agent": {"nodeSelector": {}}}, "at '/agent': additional properties 'nodeSelector' not allowed"),
    (
        {"datapath": {"tunnelType": "gre"}},
        "at '/datapath/tunnelType': value must be one of 'geneve', 'vxlan'",
    ),
    ({"datapath": {"captureDns": "yes"}}, "at '/datapath/captureDns': got string, want boolean"),
    ({"nodeSelector": {"offMeshNodeType": 1}}, "at '/nodeSelector/offMeshNodeType'"),
    ({"env": [{"value": "x"}]}, "at '/env/0': missing property 'name'"),
    ({"image": None}, "missing property 'image'"),
]


@pytest.mark.parametrize(("values", "told"), REFUSALS)
def test_wrong_values_are_refused_by_name(values: Values, told: str) -> None:
    assert told in refusal(values)
