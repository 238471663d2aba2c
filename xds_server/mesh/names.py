"""The names telemetry knows a workload by (facts wds, 2.5)."""

import re
from collections.abc import Mapping

from xds_server.objects.kubernetes import OwnerReference, Pod

# A CronJob names its Jobs by the minute they were due.
_CRON_JOB = re.compile(r"(.+)-\d{8,10}")
_CANONICAL_NAME = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_CANONICAL_REVISION = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")


def workload_name(pod: Pod) -> str:
    """Name what the pod is an instance of: its Deployment, CronJob, ... or itself."""
    labels = pod.labels
    override = labels.get("service.istio.io/workload-name")
    if override is not None:
        return override
    owner = _controller(pod)
    if owner is None:
        return pod.name
    if owner.kind == "ReplicaSet":
        return _without_hash(owner.name, labels)
    if owner.kind == "ReplicationController" and "deploymentconfig" in labels:
        return labels["deploymentconfig"]
    if owner.kind == "Job" and (due := _CRON_JOB.fullmatch(owner.name)):
        return due[1]
    return owner.name


def canonical_name(labels: Mapping[str, str], workload: str) -> str:
    return _first_present(labels, _CANONICAL_NAME, workload)


def canonical_revision(labels: Mapping[str, str]) -> str:
    return _first_present(labels, _CANONICAL_REVISION, "latest")


def _first_present(labels: Mapping[str, str], names: tuple[str, ...], otherwise: str) -> str:
    """Presence decides, not content: an empty label is an answer."""
    for name in names:
        if name in labels:
            return labels[name]
    return otherwise


def _controller(pod: Pod) -> OwnerReference | None:
    if not pod.metadata.generate_name:
        return None
    return next((owner for owner in pod.metadata.owner_references or () if owner.controller), None)


def _without_hash(name: str, labels: Mapping[str, str]) -> str:
    for label in ("pod-template-hash", "rollouts-pod-template-hash"):
        suffix = f"-{labels.get(label, '')}"
        if suffix != "-" and name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
