"""The chart, rendered by a real helm."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.helpers.offmesh import ROOT

CHART = ROOT / "deploy" / "charts" / "offmesh"
NAMESPACE = "istio-system"
BESIDE_ISTIOD = CHART / "values-beside-istiod.yaml"


class Right(NamedTuple):
    """One thing somebody may do."""

    namespace: str
    """Empty: in all of them."""
    verb: str
    resource: str
    """``plural`` or ``plural.group``, or a path of the API server."""
    name: str = ""
    """Empty: whatever its name."""


Object = dict[str, Any]
Values = Mapping[str, Any]


PAIR = {"cpuNodeIP": "192.168.50.130", "dpuNodeIP": "192.168.50.131", "cpuNodeName": "master"}
CLAIM = {"persistentVolumeClaim": {"claimName": "offmesh-certs"}}
EVERYTHING: Values = {
    "image": {"repository": "registry.example/mesh/offmesh", "tag": "1.2.3"},
    "imagePullSecrets": ["registry"],
    "mesh": {"network": "hall-1", "trustDomain": "mesh.example", "clusterId": "hall"},
    "identity": {"tlsSans": ["mesh.example", "192.0.2.7"], "clientCertificates": False},
    "placement": {"pairs": [PAIR], "singles": ["192.168.50.141", {"nodeIP": "fd00::5", "nodeName": "plain"}]},
    "http": {"expose": True, "hosts": ["mesh.example"]},
    "services": {"offmesh": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]}},
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "issuerExpiryDays": 3},
    "networkPolicy": {"enabled": True},
    "podLabels": {"team": "mesh", "istio.io/dataplane-mode": "ambient"},
    "podAnnotations": {"note": "kept"},
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "tolerations": [{"operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
}
SECOND_CLUSTER: Values = {"dpuCluster": {"kubeconfigSecret": "offmesh-dpu-cluster", "context": "dpus"}}
SETS = [
    pytest.param({}, id="defaults"),
    pytest.param(EVERYTHING, id="everything"),
    pytest.param(SECOND_CLUSTER, id="second cluster"),
    pytest.param({"certificateAuthority": {"volume": CLAIM}}, id="volume"),
    pytest.param(yaml.safe_load(BESIDE_ISTIOD.read_text()), id="beside istiod"),
]


def rendered(
    values: Values | None = None, *, namespace: str = NAMESPACE, files: Iterable[Path] = ()
) -> list[Object]:
    """Return the objects of the chart with ``values`` over those of ``files`` over its own."""
    return documents(rendering(values, namespace=namespace, files=files))


def rendering(values: Values | None = None, *, namespace: str = NAMESPACE, files: Iterable[Path] = ()) -> str:
    """Return what ``helm template`` prints, which must be nothing but YAML."""
    made = _template(values, namespace, files)
    assert made.returncode == 0, made.stderr
    return made.stdout


def refusal(values: Values) -> str:
    """Return what helm says to values it does not take."""
    made = _template(values, NAMESPACE, ())
    assert made.returncode == 1, f"taken: {made.stdout[:2000]}"
    return made.stderr


def documents(text: str) -> list[Object]:
    """Return the objects in a YAML file of many."""
    return [one for one in yaml.safe_load_all(text) if one is not None]


def one(objects: list[Object], kind: str, name: str = "offmesh") -> Object:
    """Return the one object of a kind and name."""
    (found,) = [item for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name)]
    return found


def names(objects: list[Object], kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in objects if item["kind"] == kind}


def pod_spec(objects: list[Object]) -> Any:
    return one(objects, "Deployment")["spec"]["template"]["spec"]


def container(objects: list[Object]) -> Any:
    (only,) = pod_spec(objects)["containers"]
    return only


def flags(objects: list[Object]) -> list[str]:
    """Return what the server is started with, after its subcommand."""
    subcommand, *given = container(objects)["args"]
    assert subcommand == "serve"
    return list(given)


def rights(objects: list[Object], account: str = "offmesh") -> set[Right]:
    """Return what the bindings among ``objects`` let a service account do."""
    held = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    granted: set[Right] = set()
    for item in objects:
        if item["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            role = held[item["roleRef"]["kind"], item["roleRef"]["name"]]
            where = item["metadata"].get("namespace", "")
            assert role["metadata"].get("namespace", "") == where, item["metadata"]["name"]
            if account in [subject["name"] for subject in item["subjects"]]:
                granted |= {right for rule in role["rules"] for right in _rights_of(rule, where)}
    return granted


def _rights_of(rule: Object, where: str) -> Iterator[Right]:
    for verb in rule["verbs"]:
        for path in rule.get("nonResourceURLs", ()):
            yield Right(where, verb, path)
        for group in rule.get("apiGroups", ()):
            for resource in rule["resources"]:
                full = f"{resource}.{group}" if group else resource
                for name in rule.get("resourceNames", ("",)):
                    yield Right(where, verb, full, name)


def helm(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Call the real helm; skip where there is none."""
    path = os.pathsep.join([str(ROOT / ".tools"), os.environ.get("PATH", "")])
    found = shutil.which("helm", path=path)
    if found is None:
        pytest.skip("helm is not installed: `make tools` tells how")
    command = [found, *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


def _template(
    values: Values | None, namespace: str, files: Iterable[Path]
) -> subprocess.CompletedProcess[str]:
    return _templated(json.dumps(values or {}), namespace, tuple(files))


@functools.cache
def _templated(values: str, namespace: str, files: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    read = [f"--values={path}" for path in files]
    return helm(
        "template", "offmesh", str(CHART), "--namespace", namespace, *read, "--values=-", stdin=values
    )
