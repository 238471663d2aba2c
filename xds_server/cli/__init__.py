"""The ``offmesh`` command: one file a command. Flags and environment are read here and nowhere else."""

import sys
from importlib import import_module

import click

from xds_server import __version__
from xds_server.cli.explain import explain
from xds_server.cli.placement import placement
from xds_server.cli.serve import serve
from xds_server.cli.status import status
from xds_server.cli.token import token
from xds_server.cli.version import version
from xds_server.exceptions import InputError, OffmeshError

_OF_A_NODE = ("datapath",)
"""Commands that need a Linux kernel; each is imported when it is asked for, with all it needs for that."""


class _Command(click.Group):
    """Turns our errors into one line and an exit code; a traceback is for bugs only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        of_a_node = _OF_A_NODE if sys.platform == "linux" else ()
        return sorted((*super().list_commands(ctx), *of_a_node))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _OF_A_NODE:
            return super().get_command(ctx, cmd_name)
        if sys.platform != "linux":
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


for command in (serve, placement, explain, status, token, version):
    main.add_command(command)
