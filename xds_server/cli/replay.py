"""``offmesh replay``: what would be served of objects that were captured."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from xds_server.app.replay import Replay, read_manifest, replay_capture
from xds_server.cli.flags import flag
from xds_server.cli.logs import log_options
from xds_server.cli.mesh_flags import mesh_flags, mesh_settings
from xds_server.cli.terminal import printable
from xds_server.exceptions import InputError
from xds_server.mesh.mesh_config import config_map_key, with_names
from xds_server.objects.kubernetes import KubernetesObject, MeshConfigMap
from xds_server.settings import MeshSettings
from xds_server.sources.captures import Capture, parse_capture
from xds_server.sources.manifests.decode import Contents
from xds_server.sources.placement.in_force import put_in_force
from xds_server.sources.placement.parse import parse_placement_map
from xds_server.sources.placement.source import read_map_file

Texts = Sequence[tuple[str, bytes]]
"""Names of files, and what they hold."""

_OF_ANY_FILE = frozenset({"files", "log_level", "log_format"})


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@flag(
    "--cluster-conf",
    None,
    "The placement map; without one every pod is served by its own node.",
    type=click.Path(path_type=Path),
)
@mesh_flags
@log_options
@click.pass_context
def replay(context: click.Context, /, **flags: Any) -> None:
    """
    Print every resource that would be served of captured objects, as sorted JSON.

    FILE holds Kubernetes objects in YAML or JSON, as `kubectl get -o json` prints them, or it is what a
    server answers to /debug/registryz?full=1, with that server's settings and placement map. - is the
    standard input. What is wrong with the objects is told on standard error.
    """
    texts = [(str(path), _read(path)) for path in flags["files"]]
    capture = _capture(texts)
    if capture is not None:
        _check_flags(context, texts[0][0])
        made = replay_capture(texts[0][0], capture)
    else:
        made = _of_manifests(texts, mesh_settings(flags), flags["cluster_conf"])
    for problem in made.problems():
        click.echo(printable(problem), err=True)
    click.echo(json.dumps(made.resources(), indent=2, sort_keys=True))


def _read(path: Path) -> bytes:
    """
    Read a file, or standard input.

    Raises:
        InputError: it cannot be read.

    """
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: unreadable ({error.strerror})") from None


def _capture(texts: Texts) -> Capture | None:
    """
    Return the capture of a registry, if the texts are that.

    Raises:
        InputError: there is more beside it, or it cannot be read.

    """
    for where, text in texts:
        capture = parse_capture(where, text)
        if capture is not None and len(texts) > 1:
            raise InputError(f"{where} is what a whole registry held: expected no file beside it")
        if capture is not None:
            return capture
    return None


def _check_flags(context: click.Context, where: str) -> None:
    """
    Refuse flags that would not count.

    Raises:
        InputError: names the first.

    """
    for name in context.params.keys() - _OF_ANY_FILE:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            given = "--" + name.replace("_", "-")
            raise InputError(f"{given}: {where} has the settings and the placement map of its server")


def _of_manifests(texts: Texts, settings: MeshSettings, cluster_conf: Path | None) -> Replay:
    """
    Make the mesh of manifests; of objects defined twice the last counts.

    Raises:
        InputError: a file cannot be used.

    """
    manifests = [read_manifest(where, text) for where, text in texts]
    if settings.unsaid:
        settings = with_names(settings, _config_map(manifests, config_map_key(settings)))
    made = Replay(settings)
    if cluster_conf is not None:
        put_in_force(parse_placement_map(read_map_file(cluster_conf), str(cluster_conf)), made.registry)
    for contents in manifests:
        made.add(contents)
    return made


def _config_map(manifests: Iterable[Contents], key: str) -> MeshConfigMap | None:
    """
    Return Istio's ConfigMap.

    Raises:
        InputError: it cannot be used.

    """
    found: KubernetesObject | None = None
    for contents in manifests:
        if unusable := contents.unusable.get((MeshConfigMap, key)):
            raise InputError(str(unusable))
        found = contents.objects.get((MeshConfigMap, key), found)
    return found if isinstance(found, MeshConfigMap) else None
