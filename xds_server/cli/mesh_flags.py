"""The flags that say what the mesh is called and how its objects are read."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, TypeVar

import click

from xds_server.cli.flags import flag
from xds_server.objects.mesh_config import MESH_NAMES
from xds_server.settings import MeshSettings

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = MeshSettings()
_NAMES = (
    "trust_domain",
    "cluster_id",
    "network",
    "root_namespace",
    "revision",
    "unhealthy_pairs",
    "service_entries_select_pods",
    "services_select_workload_entries",
    "dry_run_policies",
    "waypoint_policies",
)

_FLAGS = (
    flag(
        "--trust-domain", "", "Trust domain of the mesh; '' is what Istio's ConfigMap says, or cluster.local."
    ),
    flag("--cluster-id", _DEFAULTS.cluster_id, "Name of the cluster in workload UIDs."),
    flag("--network", _DEFAULTS.network, "Network of the cluster; '' reads the label of Istio's namespace."),
    flag(
        "--root-namespace",
        "",
        "Root namespace of the mesh, and the one of Istio with its ConfigMap; '' reads that in istio-system, "
        "where it may say another root namespace.",
    ),
    flag(
        "--revision",
        _DEFAULTS.revision,
        "Istio's objects labelled istio.io/rev with another are not read; '' reads all.",
    ),
    flag(
        "--unhealthy-pairs",
        _DEFAULTS.unhealthy_pairs,
        "What becomes of the workloads of a pair that is down.",
        type=click.Choice(["unhealthy", "withdraw", "ignore"]),
    ),
    flag(
        "--service-entries-select-pods/--no-service-entries-select-pods",
        _DEFAULTS.service_entries_select_pods,
        "Whether a ServiceEntry's selector is for pods, too, or for WorkloadEntries only.",
    ),
    flag(
        "--services-select-workload-entries/--no-services-select-workload-entries",
        _DEFAULTS.services_select_workload_entries,
        "Whether a Service's selector is for WorkloadEntries, too, or for pods only.",
    ),
    flag(
        "--dry-run-policies/--no-dry-run-policies",
        _DEFAULTS.dry_run_policies,
        "Whether AuthorizationPolicies with istio.io/dry-run are served, to be logged and not enforced.",
    ),
    flag(
        "--waypoint-policies/--no-waypoint-policies",
        _DEFAULTS.waypoint_policies,
        "Whether workloads allow their waypoints without a policy that says so.",
    ),
)


def mesh_flags(command: F) -> F:
    """Add the flags to a command."""
    return reduce(lambda made, add: add(made), reversed(_FLAGS), command)


def mesh_settings(flags: Mapping[str, Any]) -> MeshSettings:
    """Return what the flags say, and which names of the mesh they leave to Istio's ConfigMap."""
    unsaid = tuple(name for name in MESH_NAMES if not flags[name])
    return MeshSettings(**{name: flags[name] for name in _NAMES if name not in unsaid}, unsaid=unsaid)
