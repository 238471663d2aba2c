"""``offmesh explain``: why a node's ztunnel may or may not have an identity."""

import json
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import click
from rich.console import Console
from rich.text import Text

from xds_server.cli.debug_client import DebugClient, http_address_option
from xds_server.cli.logs import log_options
from xds_server.cli.terminal import format_option, printable
from xds_server.exceptions import InputError


@click.command()
@click.option("--node", required=True, metavar="NAME", help="The node whose ztunnel asks.")
@click.option(
    "--identity",
    required=True,
    metavar="SPIFFE",
    help="The identity it asks for: spiffe://<trust domain>/ns/<namespace>/sa/<service account>.",
)
@click.option(
    "--cluster",
    type=click.Choice(["first", "dpu"]),
    help="Of two nodes of that name, the one of this cluster. Default: the first's.",
)
@http_address_option
@format_option("A list to read, or everything.")
@log_options
def explain(node: str, identity: str, cluster: str | None, http_address: str, form: str) -> None:
    """Ask a running server why the ztunnel of a node may (exit 0) or may not (1) have an identity."""
    with DebugClient(http_address) as server:
        asked = {"node": node, "identity": identity} | ({"cluster": cluster} if cluster else {})
        path = "/debug/explain?" + urlencode(asked)
        told = server.ask(path, needed=False)
        if told is None:
            raise InputError(f"the server at {http_address} gives no identities: its secure port is off")
        allowed = bool(told["allowed"])
        if form == "json":
            click.echo(json.dumps(told, indent=2, sort_keys=True))
        else:
            _show(told)
    if not allowed:
        sys.exit(1)


def _show(told: Mapping[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for check in told["checks"]:
        mark = Text("passed ", "green") if check["passed"] else Text("FAILED ", "red")
        console.print(Text.assemble(mark, printable(f"{check['check']}: {check['found']}")))
        if not check["passed"]:
            console.print(Text(printable(f"       expected {check['expected']}")))
    verdict = Text("granted", "green") if told["allowed"] else Text("denied", "red")
    where = " of the DPU cluster" if told["cluster"] == "dpu" else ""
    asked = printable(f"{told['identity']} to the ztunnel of node {told['node']}{where}: ")
    console.print(Text.assemble(asked, verdict))
