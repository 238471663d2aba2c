"""``offmesh agent``: keeps a node's datapath equal to what the control plane says of the node."""

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import click

from xds_server.addresses import split_address
from xds_server.agent.agent import Agent
from xds_server.agent.settings import AgentSettings, Discovery, LeaseSettings, NodeSettings, OnExit
from xds_server.cli.flags import flag
from xds_server.cli.logs import log_options
from xds_server.datapath.inputs import WithoutZtunnel
from xds_server.datapath.inputs_file import parse_names
from xds_server.datapath.kernel import Backend
from xds_server.datapath.names import Names
from xds_server.exceptions import InputError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LONGEST_NAME = 253
_DEFAULTS = Discovery(address="offmesh.istio-system.svc:15012")


@click.command()
@click.option(
    "--node",
    required=True,
    envvar=["OFFMESH_NODE", "NODE_NAME"],
    show_envvar=True,
    help="Name of this node's Node object.",
)
@flag("--discovery-address", _DEFAULTS.address, "The control plane's secure port.")
@flag("--insecure/--no-insecure", False, "Without TLS and token, at the control plane's plaintext port.")
@flag(
    "--root-cert",
    _DEFAULTS.root_cert,
    "The authorities the control plane's certificate may be of; read at each connection.",
    type=click.Path(path_type=Path),
)
@flag(
    "--token",
    _DEFAULTS.token,
    "The token of the agent's account; read at each connection.",
    type=click.Path(path_type=Path),
)
@flag("--server-name", "", "Name the certificate must be for; default: that of --discovery-address.")
@flag(
    "--state-dir",
    Path("/var/lib/offmesh"),
    "Folder that outlives the agent: what was held last is kept in it.",
    type=click.Path(file_okay=False, path_type=Path),
)
@flag(
    "--on-exit",
    OnExit.KEEP.value,
    "What becomes of the datapath when the agent is told to end.",
    type=click.Choice([each.value for each in OnExit]),
)
@flag(
    "--when-ztunnel-is-gone",
    WithoutZtunnel.PLAIN.value,
    "What becomes of meshed pods' TCP while no ztunnel runs for the node.",
    type=click.Choice([each.value for each in WithoutZtunnel]),
)
@flag(
    "--pod-routes/--no-pod-routes",
    True,
    "Whether routes to other nodes' pods are the agent's; not where the network plugin knows the pairs.",
)
@flag(
    "--ztunnel-netns/--no-ztunnel-netns",
    True,
    "Whether the agent programs the namespace of ztunnel's pod; not where the pod does so itself.",
)
@flag(
    "--backend",
    None,
    "Which iptables; default: the one the node uses.",
    type=click.Choice([backend.value for backend in Backend]),
)
@flag("--netns", "", "Network namespace of the node, by name or path; default: the one this runs in.")
@flag(
    "--names",
    None,
    "File with `names` (docs/datapath.md), where somebody else on the node uses one of the originals'.",
    type=click.Path(dir_okay=False, path_type=Path),
)
@flag(
    "--lease-namespace",
    "",
    "Where a DPU node's agent renews the Lease by which its pair is known to live; '' renews none.",
)
@flag(
    "--lease-seconds",
    LeaseSettings().duration_seconds,
    "How long the pair is taken to live after the Lease was renewed; an agent is replaced within that.",
    type=click.IntRange(min=5),
)
@log_options
def agent(**flags: Any) -> None:
    """Keep this node's datapath equal to what the control plane says: needs root, runs until told to end."""
    asyncio.run(_run(_settings(flags)))


async def _run(settings: AgentSettings) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await Agent(settings).run(stopping)


def _settings(flags: dict[str, Any]) -> AgentSettings:
    """
    Read the flags.

    Raises:
        InputError: names the flag or file, and what was expected.

    """
    split_address(flags["discovery_address"], "--discovery-address")
    _check_name("--node", flags["node"])
    if flags["lease_namespace"]:
        _check_name("--lease-namespace", flags["lease_namespace"])
    return AgentSettings(
        node=flags["node"],
        discovery=Discovery(
            address=flags["discovery_address"],
            insecure=flags["insecure"],
            root_cert=flags["root_cert"],
            token=flags["token"],
            server_name=flags["server_name"],
        ),
        state_dir=flags["state_dir"],
        on_exit=OnExit(flags["on_exit"]),
        kernel=NodeSettings(
            netns=flags["netns"],
            backend=Backend(flags["backend"]) if flags["backend"] else None,
            names=_names(flags["names"]),
            when_ztunnel_is_gone=WithoutZtunnel(flags["when_ztunnel_is_gone"]),
            pod_routes=flags["pod_routes"],
            ztunnel_netns=flags["ztunnel_netns"],
        ),
        lease=LeaseSettings(
            namespace=flags["lease_namespace"],
            duration_seconds=flags["lease_seconds"],
            renew_seconds=flags["lease_seconds"] / 4,
        ),
    )


def _check_name(where: str, name: str) -> None:
    if len(name) > _LONGEST_NAME or _NAME.fullmatch(name) is None:
        expected = "lower case letters, digits, dashes and dots, as Kubernetes has names"
        raise InputError(f"{where} is {name!r}: expected {expected}")


def _names(path: Path | None) -> Names:
    if path is None:
        return Names()
    try:
        return parse_names(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--names {path}: {error}") from None
