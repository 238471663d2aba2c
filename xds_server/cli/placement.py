"""``offmesh placement``: the placement map, before a server is given it."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from xds_server.cli.files import find_cluster_conf
from xds_server.cli.logs import log_options
from xds_server.cli.placement_screen import as_json, print_tables
from xds_server.cli.terminal import format_option, printable
from xds_server.exceptions import InputError
from xds_server.mesh.graph import new_registry
from xds_server.mesh.placement import Placement
from xds_server.mesh.placement_report import PlacementReport, placement_report
from xds_server.objects.cluster_conf import Pair, PlacementMap, Single
from xds_server.objects.kubernetes import Node
from xds_server.sources.manifests.source import ManifestSource
from xds_server.sources.placement.in_force import put_in_force
from xds_server.sources.placement.parse import PlacementError, parse_placement_map
from xds_server.sources.placement.source import read_map_file
from xds_server.sources.problems import Problems

_conf_option = click.option(
    "--cluster-conf",
    type=click.Path(path_type=Path),
    envvar="OFFMESH_CLUSTER_CONF",
    show_envvar=True,
    help="The placement map. Default: ./cluster-conf.yaml, then /etc/offmesh/cluster-conf.yaml.",
)
_manifests_option = click.option(
    "--manifests",
    multiple=True,
    type=click.Path(path_type=Path),
    envvar="OFFMESH_MANIFESTS",
    show_envvar=True,
    help="File or folder with the cluster's Node objects, to resolve names and compare labels. Repeatable.",
)


@click.group()
def placement() -> None:
    """Validate and print the placement map."""


@placement.command()
@_conf_option
@_manifests_option
@log_options
def check(cluster_conf: Path | None, manifests: tuple[Path, ...]) -> None:
    """
    Say what is wrong with the placement map, one problem a line.

    Exits 2 when the map cannot be used, and 1 when it does not agree with the Node objects.
    """
    path = find_cluster_conf(cluster_conf)
    placement_map = _read(path)
    if manifests:
        report = _report(placement_map, manifests)
        for node in report.unmapped:
            click.echo(f"unmapped: node {node} is in no role")
        disagreements = list(_disagreements(path, placement_map, report))
        for line in disagreements:
            click.echo(printable(line), err=True)
        if disagreements:
            sys.exit(1)
    click.echo(f"ok: {len(placement_map.pairs)} pairs, {len(placement_map.singles)} singles")


@placement.command()
@_conf_option
@_manifests_option
@format_option("Tables, or the JSON of /debug/placementz.")
@log_options
def show(cluster_conf: Path | None, manifests: tuple[Path, ...], form: str) -> None:
    """Print pairs and singles, and how they meet the Node objects."""
    report = _report(_read(find_cluster_conf(cluster_conf)), manifests)
    if form == "json":
        click.echo(json.dumps(as_json(report), indent=2, sort_keys=True))
    else:
        print_tables(report, with_nodes=bool(manifests))


def _read(path: Path) -> PlacementMap:
    """Read a map, or say on standard error all that is wrong with it and exit 2."""
    try:
        return parse_placement_map(read_map_file(path), str(path))
    except PlacementError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(2)


def _report(placement_map: PlacementMap, manifests: tuple[Path, ...]) -> PlacementReport:
    """
    Report on a map as it meets the Node objects in manifests.

    Raises:
        InputError: a path does not exist.

    """
    registry = new_registry()
    derived = Placement(registry.graph, registry.of(Pair), registry.of(Single), registry.of(Node))
    put_in_force(placement_map, registry)
    if manifests:
        for path in manifests:
            if not path.exists():
                raise InputError(f"--manifests {path}: no such file or folder")
        asyncio.run(ManifestSource(manifests, registry, Problems()).load(lambda _done, _total: None))
    return placement_report(derived)


def _disagreements(path: Path, placement_map: PlacementMap, report: PlacementReport) -> Iterator[str]:
    lines = {single.node_ip: single.line for single in placement_map.singles}
    for pair in reversed(placement_map.pairs):
        lines[pair.cpu_node_ip] = lines[pair.dpu_node_ip] = pair.line
    for ip in report.unresolved:
        yield f"{path}:{lines[ip]}: the node at {ip} has no name: expected a Node with this InternalIP"
    for conflict in report.conflicts:
        yield f"{path}: {conflict}"
