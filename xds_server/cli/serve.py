"""``offmesh serve``: the control plane."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from xds_server import app
from xds_server.addresses import split_address
from xds_server.cli.addresses import is_loopback
from xds_server.cli.cluster_flags import cluster_flags, cluster_settings
from xds_server.cli.files import PLACES, find_cluster_conf
from xds_server.cli.flags import flag as _flag
from xds_server.cli.logs import log_options
from xds_server.cli.mesh_flags import mesh_flags, mesh_settings
from xds_server.cli.progress import LoadProgress
from xds_server.exceptions import InputError
from xds_server.identity.server_certificate import is_server_name
from xds_server.identity.spiffe import namespaces_of, parse_account
from xds_server.settings import (
    ClusterSettings,
    DatapathSettings,
    IdentitySettings,
    ServeSettings,
    StreamSettings,
)

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = ServeSettings(manifests=(), cluster_conf=Path("cluster-conf.yaml"))
_TRY = (
    'grpcurl -plaintext -d \'{"node":{"id":"try"},"type_url":"type.googleapis.com/istio.workload.Address"}\''
)
_METHOD = "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


@click.command()
@_flag(
    "--manifests",
    (),
    "File or folder of Kubernetes YAML or JSON to serve, watched. Repeatable.",
    multiple=True,
    type=click.Path(path_type=Path),
)
@_flag(
    "--cluster-conf",
    None,
    "The placement map, reloaded live. Default: ./cluster-conf.yaml, then /etc/offmesh/cluster-conf.yaml.",
    type=click.Path(path_type=Path),
)
@_flag("--grpc-address", _DEFAULTS.grpc_address, "xDS without TLS, for local tools; '' turns it off.")
@_flag(
    "--secure-grpc-address",
    _DEFAULTS.secure_grpc_address,
    "xDS, certificates and secrets over TLS, clients authenticated; '' turns it off.",
)
@_flag("--insecure-grpc-anywhere", False, "Allow --grpc-address on more than loopback.", is_flag=True)
@_flag("--http-address", _DEFAULTS.http_address, "Debug HTTP and metrics.")
@_flag("--health-address", _DEFAULTS.health_address, "Probes: /ready, /live, /healthz; '' turns it off.")
@mesh_flags
@_flag(
    "--certs",
    _DEFAULTS.identity.certs,
    "Folder of the certificate authority (istio's file names), watched; made on first start.",
    type=click.Path(file_okay=False, path_type=Path),
)
@_flag(
    "--trusted-node-accounts",
    ",".join(_DEFAULTS.identity.trusted_node_accounts),
    "Service accounts (namespace/name, by commas) that may ask for the identities their node carries.",
)
@_flag(
    "--agent-accounts",
    ",".join(_DEFAULTS.identity.agent_accounts),
    "Service accounts (namespace/name, by commas) of node agents: each is told the datapath of its node.",
)
@_flag(
    "--tunnel-type",
    _DEFAULTS.datapath.tunnel_type,
    "Type of the tunnels to ztunnels' pods, which agents are told; vxlan where kernels have no geneve.",
    type=click.Choice(["geneve", "vxlan"]),
)
@_flag(
    "--capture-dns/--no-capture-dns",
    _DEFAULTS.datapath.capture_dns,
    "Whether meshed pods' DNS is sent to ztunnel, which must be told to answer it.",
)
@_flag("--token-audience", _DEFAULTS.identity.token_audience, "Audience that tokens must be made for.")
@_flag("--tls-san", (), "Further name or IP address of the secure port. Repeatable.", multiple=True)
@_flag(
    "--client-certificates/--no-client-certificates",
    _DEFAULTS.identity.client_certificates,
    "Whether clients may prove themselves by a certificate of the mesh, too; without, TLS costs less.",
)
@cluster_flags
@_flag("--http-host", (), "Further name by which the debug HTTP may be asked. Repeatable.", multiple=True)
@_flag(
    "--drain-seconds",
    _DEFAULTS.streams.drain_seconds,
    "On SIGTERM, streams are closed gracefully within.",
    type=click.FloatRange(min=0),
)
@_flag(
    "--max-connection-age-seconds",
    _DEFAULTS.streams.max_connection_age_seconds,
    "Streams are ended gracefully at this age, give or take 10 %.",
    type=click.FloatRange(min=1),
)
@_flag(
    "--ready-file",
    None,
    "Gets a JSON object of the bound addresses once ready.",
    type=click.Path(dir_okay=False, path_type=Path),
)
@log_options
def serve(**flags: Any) -> None:
    """Serve the mesh to ztunnels: xDS, workload discovery and certificates, with a debug HTTP beside it."""
    settings = _settings(flags)
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt), LoadProgress() as progress:
        asyncio.run(app.serve(settings, progress, partial(_announce, settings)))


def _settings(flags: Mapping[str, Any]) -> ServeSettings:
    cluster = cluster_settings(flags)
    for path in flags["manifests"]:
        if not path.exists():
            raise InputError(f"--manifests {path}: no such file or folder")
    _check_addresses(flags)
    streams = {name: flags[name] for name in ("drain_seconds", "max_connection_age_seconds")}
    same = {
        name: flags[name]
        for name in (
            "manifests",
            "secure_grpc_address",
            "grpc_address",
            "http_address",
            "health_address",
            "ready_file",
        )
    }
    identity = _identity_settings(flags)
    return ServeSettings(
        cluster_conf=_cluster_conf(flags["cluster_conf"], cluster),
        cluster=cluster,
        http_hosts=tuple(flags["http_host"]),
        mesh=mesh_settings(flags),
        datapath=DatapathSettings(
            tunnel_type=flags["tunnel_type"],
            capture_dns=flags["capture_dns"],
            ztunnel_namespaces=namespaces_of(identity.trusted_node_accounts),
        ),
        identity=identity,
        streams=StreamSettings(**streams),
        **same,
    )


def _cluster_conf(given: Path | None, cluster: ClusterSettings | None) -> Path:
    """Return the file of the placement map; of no use where that is in a ConfigMap."""
    if cluster is not None and cluster.placement is not None:
        return given or PLACES[0]
    return find_cluster_conf(given)


def _identity_settings(flags: Mapping[str, Any]) -> IdentitySettings:
    """
    Read who is believed and trusted.

    Raises:
        InputError: a flag names no service account or no name of a server.

    """
    for name in flags["tls_san"]:
        if not is_server_name(name):
            raise InputError(f"--tls-san is {name!r}: expected a DNS name or an IP address")
    return IdentitySettings(
        certs=flags["certs"],
        trusted_node_accounts=_accounts(flags, "trusted_node_accounts"),
        agent_accounts=_accounts(flags, "agent_accounts"),
        token_audience=flags["token_audience"],
        client_certificates=flags["client_certificates"],
        tls_sans=tuple(flags["tls_san"]),
    )


def _accounts(flags: Mapping[str, Any], name: str) -> frozenset[str]:
    """
    Read service accounts by commas.

    Raises:
        InputError: one is none; the message names the flag.

    """
    accounts = [text.strip() for text in flags[name].split(",") if text.strip()]
    for account in accounts:
        try:
            parse_account(account)
        except InputError as error:
            raise InputError(f"--{name.replace('_', '-')}: {error}") from None
    return frozenset(accounts)


def _check_addresses(flags: Mapping[str, Any]) -> None:
    """
    Refuse what is no address, and to serve without TLS to other machines by mistake.

    Raises:
        InputError: names the flag.

    """
    for name in ("grpc_address", "secure_grpc_address", "http_address", "health_address"):
        flag = "--" + name.replace("_", "-")
        if not flags[name] and name != "http_address":
            continue
        host, _ = split_address(flags[name], flag)
        if name == "grpc_address" and not is_loopback(host) and not flags["insecure_grpc_anywhere"]:
            expected = "expected a loopback address, or add --insecure-grpc-anywhere"
            raise InputError(f"{flag} is {flags[name]!r}: {expected}")


def _announce(settings: ServeSettings, bound: Mapping[str, str]) -> None:
    click.echo(f"ready: debug HTTP at http://{bound['http']}/")
    if "secureGrpc" in bound:
        port = bound["secureGrpc"].rpartition(":")[2]
        token = "a token of `offmesh token`" if settings.cluster is None else "a token of the cluster"
        click.echo(f"TLS:   https://localhost:{port} for ztunnels, with {token}")
    if "grpc" in bound:
        click.echo(f"try:   {_TRY} {bound['grpc']} {_METHOD}")
