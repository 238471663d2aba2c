"""``offmesh token``: a token for a pod of the manifests, where no cluster makes one."""

import asyncio
import difflib
import math
import secrets
import sys
import time
from pathlib import Path

import click

from xds_server.cli.logs import log_options
from xds_server.exceptions import InputError
from xds_server.identity.tokens.embedded import TokenSubject, load_or_make, mint
from xds_server.identity.tokens.key_file import write_private
from xds_server.mesh.graph import new_registry
from xds_server.mesh.identities import account_of, is_finished, uid_of
from xds_server.objects.kubernetes import Pod
from xds_server.settings import IdentitySettings
from xds_server.sources.manifests.source import ManifestSource
from xds_server.sources.problems import Problems

_DEFAULTS = IdentitySettings()
_HOUR = 3_600
_LONGEST_HOURS = 8_760
_NAMES_SHOWN = 5


@click.command()
@click.option(
    "--pod", required=True, envvar="OFFMESH_POD", show_envvar=True, help="Its bearer: NAMESPACE/NAME."
)
@click.option(
    "--manifests",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    envvar="OFFMESH_MANIFESTS",
    show_envvar=True,
    help="File or folder with the pod, as `offmesh serve` is given it. Repeatable.",
)
@click.option(
    "--certs",
    default=_DEFAULTS.certs,
    type=click.Path(path_type=Path),
    envvar="OFFMESH_CERTS",
    show_default=True,
    show_envvar=True,
    help="Folder with token-key.pem, shared with the server; the key is made when it is not there.",
)
@click.option(
    "--audience",
    default=_DEFAULTS.token_audience,
    envvar="OFFMESH_TOKEN_AUDIENCE",
    show_default=True,
    show_envvar=True,
    help="Whom the token is for: the server's --token-audience.",
)
@click.option(
    "--hours",
    default=24.0,
    type=click.FloatRange(0, _LONGEST_HOURS, min_open=True),
    envvar="OFFMESH_TOKEN_HOURS",
    show_default=True,
    show_envvar=True,
    help="How long the token is good for.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    envvar="OFFMESH_TOKEN_OUT",
    show_envvar=True,
    help="Write it to a file (mode 0600, without a newline, as ztunnel wants it) instead of printing it.",
)
@log_options
def token(  # noqa: PLR0913 - a flag is an argument
    *, pod: str, manifests: tuple[Path, ...], certs: Path, audience: str, hours: float, out: Path | None
) -> None:
    """
    Make a token that proves to `offmesh serve` that its bearer is a pod of the manifests.

    It is all that is printed; a newline follows on a terminal only, for ztunnel takes one for a part
    of the token.
    """
    if not audience:
        raise InputError("--audience is '': expected the server's --token-audience")
    if math.isnan(hours):  # which is outside of no range
        raise InputError(f"--hours is nan: expected more than 0 and at most {_LONGEST_HOURS}")
    now = time.time()
    subject = asyncio.run(_look_up(pod, manifests))
    made = mint(load_or_make(certs).signing_key, subject, audience, now, hours * _HOUR)
    if out is not None:
        _write(out, made)
    else:
        click.echo(made, nl=sys.stdout.isatty())


async def _look_up(key: str, manifests: tuple[Path, ...]) -> TokenSubject:
    """
    Find a pod that can bear a token.

    Raises:
        InputError: there is none of that name, or it cannot.

    """
    for path in manifests:
        if not path.exists():
            raise InputError(f"--manifests {path}: no such file or folder")
    registry, problems = new_registry(), Problems()
    source = ManifestSource(manifests, registry, problems)
    await source.load(lambda _done, _total: None)
    source.close()
    pods = dict(registry.of(Pod).items())
    if key not in pods:
        raise InputError(f"--pod {key!r}: {_missing(key, list(pods))}")
    _check_alone(key, problems)
    return _subject(key, pods[key])


def _missing(key: str, known: list[str]) -> str:
    if not known:
        return "the manifests hold no pod"
    near = [name for name in sorted(known) if name.endswith(f"/{key}")]
    near = near or difflib.get_close_matches(key, known, _NAMES_SHOWN, 0.5)
    names = near or sorted(known)
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    listed = f"{', '.join(names[:_NAMES_SHOWN])}{more}"
    said = "not in the manifests" if key.count("/") == 1 else "expected NAMESPACE/NAME"
    return f"{said}; {'did you mean' if near else 'they hold'} {listed}{'?' if near else ''}"


def _check_alone(key: str, problems: Problems) -> None:
    """
    Refuse a pod that two files define: the server may hold the other one in force.

    Raises:
        InputError: names both files.

    """
    for found in problems.by_place.values():
        for problem in found:
            if problem.subject == f"Pod {key}":
                raise InputError(f"--pod {key!r}: {problem}")


def _subject(key: str, pod: Pod) -> TokenSubject:
    if is_finished(pod):
        raise InputError(
            f"--pod {key!r}: its phase is {pod.status.phase}: expected a pod that is not finished"
        )
    if not pod.spec.node_name:
        raise InputError(f"--pod {key!r}: it has no spec.nodeName: expected a pod that is bound to a node")
    namespace, _, name = key.partition("/")
    return TokenSubject(
        namespace=namespace,
        service_account=account_of(pod).partition("/")[2],
        pod=name,
        pod_uid=uid_of(pod),
        node=pod.spec.node_name,
    )


def _write(path: Path, made: str) -> None:
    """
    Put the token into a file that only its owner may read, whole or not at all.

    Raises:
        InputError: the file cannot be written.

    """
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise InputError(f"--out {path}: expected a file, or nothing there yet")
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            write_private(scratch, made.encode("ascii"))
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror}") from None
