"""The flags of ``offmesh serve`` that concern a Kubernetes cluster, and the settings they make."""

import os
import socket
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from xds_server.cli.files import PLACES
from xds_server.cli.flags import flag
from xds_server.cluster.connection import is_in_pod
from xds_server.exceptions import InputError
from xds_server.settings import ClusterAccess, ClusterSettings

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = ClusterSettings()
_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_FLAGS = (
    flag(
        "--kubeconfig",
        None,
        "The cluster to serve; default: this pod's own, then ~/.kube/config. With --manifests: only the "
        "cluster whose tokens prove callers, instead of those of `offmesh token`.",
        type=_FILE,
    ),
    flag("--context", "", "Context of the kubeconfig; '' is its current one."),
    flag("--dpu-kubeconfig", None, "The cluster of the DPU nodes, where that is another.", type=_FILE),
    flag("--dpu-context", "", "Context of the DPU nodes' kubeconfig; '' is its current one."),
    flag(
        "--istio-resources/--no-istio-resources",
        _DEFAULTS.istio_resources,
        "Whether to read the resources of Istio and of the Gateway API, and Istio's own ConfigMap.",
    ),
    flag("--namespace", "", "The server's own namespace; default: POD_NAMESPACE, then that of its account."),
    flag(
        "--cluster-conf-configmap",
        "",
        "Namespace/name of a ConfigMap with the placement map, instead of a file. Default, in a cluster and "
        "when there is no file: offmesh-conf of the own namespace.",
    ),
    flag(
        "--ca-secrets",
        ",".join(_DEFAULTS.ca_secrets),
        "Secrets of the own namespace that may hold the certificate authority, by commas: the first that is "
        "there is used, the last is made when none is. '' uses --certs.",
    ),
    flag(
        "--root-config-maps/--no-root-config-maps",
        _DEFAULTS.root_config_maps,
        "Whether to publish the roots as ConfigMap istio-ca-root-cert in every namespace.",
    ),
    flag(
        "--pair-reports/--no-pair-reports",
        _DEFAULTS.pair_reports,
        "Whether to tell CPU nodes, by a condition and Events, that their pair is down.",
    ),
    flag("--leader-lease", _DEFAULTS.leader_lease, "Lease that says which replica does what only one may."),
    flag("--lease-namespace", "", "Where agents on DPU nodes renew their Leases; default: --namespace."),
)


def cluster_flags(command: F) -> F:
    """Add the flags to a command."""
    return reduce(lambda made, add: add(made), reversed(_FLAGS), command)


def cluster_settings(flags: Mapping[str, Any]) -> ClusterSettings | None:
    """
    Return what the flags say of clusters; None where manifests are served and no cluster is named.

    Raises:
        InputError: a flag names no ConfigMap, or needs a cluster and there is none.

    """
    if flags["manifests"] and flags["dpu_kubeconfig"] is not None:
        raise InputError("--dpu-kubeconfig beside --manifests: expected all nodes in the manifests")
    if flags["manifests"] and flags["kubeconfig"] is None:
        if flags["cluster_conf_configmap"]:
            raise InputError("--cluster-conf-configmap: needs --kubeconfig beside --manifests")
        return None
    if flags["kubeconfig"] is None and not is_in_pod() and not _user_has_kubeconfig(os.environ):
        raise InputError(
            "nothing to serve: expected --manifests with files or folders of Kubernetes objects, "
            "or a cluster by --kubeconfig, ~/.kube/config or the account of a pod"
        )
    namespace = flags["namespace"] or own_namespace(os.environ, _ACCOUNT_NAMESPACE)
    secrets = tuple(name.strip() for name in flags["ca_secrets"].split(",") if name.strip())
    dpu_access = _access(flags["dpu_kubeconfig"], flags["dpu_context"])
    return ClusterSettings(
        access=_access(flags["kubeconfig"], flags["context"]),
        istio_resources=flags["istio_resources"],
        dpu_access=dpu_access if dpu_access.kubeconfig else None,
        namespace=namespace,
        replica=os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}",
        placement=_config_map(flags, namespace),
        # Who serves manifests keeps the authority in a folder.
        ca_secrets=() if flags["manifests"] else secrets,
        root_config_maps=flags["root_config_maps"] and not flags["manifests"],
        pair_reports=flags["pair_reports"],
        leader_lease=flags["leader_lease"],
        lease_namespace=flags["lease_namespace"] or namespace,
    )


def own_namespace(environment: Mapping[str, str], account: Path) -> str:
    """Return the namespace this process runs in; outside a pod, the one istiod has."""
    if name := environment.get("POD_NAMESPACE", ""):
        return name
    try:
        return account.read_text().strip() or _DEFAULTS.namespace
    except OSError:
        return _DEFAULTS.namespace


def _user_has_kubeconfig(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("KUBECONFIG")) or (Path.home() / ".kube/config").exists()


def _access(kubeconfig: Path | None, context: str) -> ClusterAccess:
    return ClusterAccess(kubeconfig=str(kubeconfig or ""), context=context)


def _config_map(flags: Mapping[str, Any], namespace: str) -> tuple[str, str] | None:
    given = flags["cluster_conf_configmap"]
    if given and flags["cluster_conf"] is not None:
        raise InputError("--cluster-conf-configmap and --cluster-conf: expected one of them")
    if given:
        inside, slash, name = given.partition("/")
        if not (inside and slash and name) or "/" in name:
            raise InputError(f"--cluster-conf-configmap is {given!r}: expected namespace/name")
        return inside, name
    if flags["cluster_conf"] is not None or flags["manifests"] or any(place.exists() for place in PLACES):
        return None
    return namespace, "offmesh-conf"
