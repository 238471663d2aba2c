"""``offmesh status``: how a running server is, asked of its debug HTTP."""

import json
import sys
from typing import Any

import click

from xds_server.cli.debug_client import DebugClient, http_address_option
from xds_server.cli.logs import log_options
from xds_server.cli.status_screen import show
from xds_server.cli.terminal import format_option

_PARTS = {
    "readiness": "/ready",
    "placement": "/debug/placementz",
    "sync": "/debug/syncz",
    "problems": "/debug/errorsz",
}


@click.command()
@http_address_option
@format_option("One screen, or everything.")
@log_options
def status(http_address: str, form: str) -> None:
    """Show a running server: clients, what each acknowledged, rejections, pairs, certificates, problems."""
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
    with DebugClient(address) as server:
        parts = {name: server.ask(path) for name, path in _PARTS.items()}
        identities = server.ask("/debug/secretz", needed=False)
        liveness = server.ask("/debug/livenessz", needed=False)
        readiness, sync = parts["readiness"], parts["sync"]
        return {
            "address": server.address,
            "ready": readiness["ready"],
            "reason": readiness.get("reason", ""),
            **{name: sync[name] for name in ("version", "time", "position", "clients")},
            "placement": parts["placement"],
            "problems": parts["problems"],
            "identities": identities,
            "liveness": liveness,
        }
