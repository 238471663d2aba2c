"""Pods as an API server would list them, about 2.5 kB of JSON each; a number makes each."""

from bench.layout import (
    Size,
    app_name,
    namespace_name,
    node_address,
    node_name,
    node_of,
    pod_address,
    pod_name,
    service_of,
    short_hash,
    uid,
)
from bench.objects import BORN, Json, owner_reference


def pod(size: Size, number: int, version: str = "v1") -> Json:
    """Make a pod; ``version`` is its label, which clients see as the workload's canonical revision."""
    app, home = app_name(service_of(size, number)), namespace_name(service_of(size, number))
    template, name = short_hash(app, 10), pod_name(size, number)
    owner = owner_reference(
        "apps/v1", "ReplicaSet", f"{app}-v1-{template}", uid("ReplicaSet", f"{home}/{app}")
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": home,
            "uid": uid("Pod", name),
            "resourceVersion": str(100_000 + number),
            "generateName": f"{app}-v1-{template}-",
            "creationTimestamp": BORN,
            "labels": {"app": app, "pod-template-hash": template, "version": version},
            "annotations": {
                "ambient.istio.io/redirection": "enabled",
                "prometheus.io/port": "9090",
                "prometheus.io/scrape": "true",
            },
            "ownerReferences": [owner],
        },
        "spec": _pod_spec(app, node_name(node_of(size, number)), short_hash(name, 5)),
        "status": _pod_status(app, pod_address(number), node_address(node_of(size, number))),
    }


def _pod_spec(app: str, node_name: str, suffix: str) -> Json:
    token = f"kube-api-access-{suffix}"
    expiring = {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    root = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    container = {
        "name": app,
        "image": f"registry.example.com/{app}:1.0.0",
        "imagePullPolicy": "IfNotPresent",
        "ports": [
            {"containerPort": 8080, "name": "http", "protocol": "TCP"},
            {"containerPort": 9090, "name": "metrics", "protocol": "TCP"},
        ],
        "env": [{"name": "LOG_LEVEL", "value": "info"}],
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
            "periodSeconds": 10,
        },
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": token, "readOnly": True}
        ],
    }
    return {
        "containers": [container],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "nodeName": node_name,
        "preemptionPolicy": "PreemptLowerPriority",
        "priority": 0,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "serviceAccount": app,
        "serviceAccountName": app,
        "terminationGracePeriodSeconds": 30,
        "volumes": [{"name": token, "projected": {"defaultMode": 420, "sources": [expiring, root]}}],
    }


def _pod_status(app: str, pod_ip: str, host_ip: str) -> Json:
    types = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    container = {
        "name": app,
        "image": f"registry.example.com/{app}:1.0.0",
        "containerID": f"containerd://{short_hash(pod_ip, 32)}{short_hash(host_ip, 32)}",
        "ready": True,
        "restartCount": 0,
        "started": True,
        "state": {"running": {"startedAt": BORN}},
    }
    return {
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": BORN} for kind in types],
        "containerStatuses": [container],
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "phase": "Running",
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "qosClass": "Burstable",
        "startTime": BORN,
    }
