"""``offmesh status``: how a running server is, asked of its debug HTTP."""

import json
import sys
from http.client import HTTPConnection, HTTPException
from typing import Any

import click

from xds_server.addresses import join_address, split_address
from xds_server.cli.logs import log_options
from xds_server.cli.status_screen import show
from xds_server.exceptions import PeerError

_SECONDS = 10.0
_PARTS = {
    "readiness": "/ready",
    "placement": "/debug/placementz",
    "sync": "/debug/syncz",
    "problems": "/debug/errorsz",
}


@click.command()
@click.option(
    "--http-address",
    default="127.0.0.1:15014",
    envvar="OFFMESH_HTTP_ADDRESS",
    show_default=True,
    show_envvar=True,
    help="Debug HTTP of the server.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="One screen, or everything.",
)
@log_options
def status(http_address: str, form: str) -> None:
    """Show a running server: clients, what each acknowledged, rejections, pairs, problems."""
    report = read_report(http_address)
    if form == "json":
        click.echo(json.dumps(report, indent=2, sort_keys=True))
    else:
        show(report)
    if not report["ready"]:
        click.echo(f"offmesh: the server at {http_address} is not ready: {report['reason']}", err=True)
        sys.exit(1)


def read_report(address: str) -> dict[str, Any]:
    """
    Ask a server for all that status shows.

    Raises:
        InputError: the address is none.
        PeerError: the server cannot be reached, or is not offmesh.

    """
    host, port = split_address(address, "--http-address")
    connection = HTTPConnection(host or "127.0.0.1", port, timeout=_SECONDS)
    try:
        parts = {name: _ask(connection, path) for name, path in _PARTS.items()}
        readiness, sync = parts["readiness"], parts["sync"]
        return {
            "address": join_address(host, port),
            "ready": readiness["ready"],
            "reason": readiness.get("reason", ""),
            **{name: sync[name] for name in ("version", "time", "position", "clients")},
            "placement": parts["placement"],
            "problems": parts["problems"],
        }
    except (OSError, HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PeerError(f"the server at {address} cannot be reached: {why}") from None
    except (ValueError, KeyError, TypeError):
        raise PeerError(f"what answers at {address} is not the debug HTTP of offmesh") from None
    finally:
        connection.close()


def _ask(connection: HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    with connection.getresponse() as response:
        told = json.loads(response.read())
    if response.status == 200 or path == "/ready":
        return told
    raise PeerError(f"the server answered {path} with {response.status}: {told['error']}")
