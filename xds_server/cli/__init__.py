"""
The ``offmesh`` command: one file a command. Flags and environment are read here and nowhere else.

A command is imported, with all it needs, when it is asked for: an agent has no room for a server.
"""

import sys
from importlib import import_module

import click

from xds_server import __version__
from xds_server.exceptions import InputError, OffmeshError

_COMMANDS = ("explain", "placement", "replay", "serve", "status", "token", "version")
_OF_A_NODE = ("agent", "datapath")
"""Commands that need a Linux kernel."""


class _Command(click.Group):
    """Turns our errors into one line and an exit code; a traceback is for bugs only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted((*_COMMANDS, *(_OF_A_NODE if sys.platform == "linux" else ())))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in (*_COMMANDS, *_OF_A_NODE):
            return None
        if cmd_name in _OF_A_NODE and sys.platform != "linux":
            raise InputError(f"offmesh {cmd_name} is for nodes that run Linux")
        command = getattr(import_module(f"xds_server.cli.{cmd_name}"), cmd_name)
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"offmesh: {error}", err=True)
            sys.exit(2)
        except OffmeshError as error:
            click.echo(f"offmesh: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="offmesh")
def main() -> None:
    """offmesh: the control plane of an ambient mesh whose node proxies run on DPUs."""
