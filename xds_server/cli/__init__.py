"""The ``offmesh`` command: one file a command. Flags and environment are read here and nowhere else."""

import sys

import click

from xds_server import __version__
from xds_server.cli.datapath import datapath
from xds_server.cli.explain import explain
from xds_server.cli.placement import placement
from xds_server.cli.serve import serve
from xds_server.cli.status import status
from xds_server.cli.token import token
from xds_server.cli.version import version
from xds_server.exceptions import InputError, OffmeshError


class _Command(click.Group):
    """Turns our errors into one line and an exit code; a traceback is for bugs only."""

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


for command in (serve, placement, datapath, explain, status, token, version):
    main.add_command(command)
