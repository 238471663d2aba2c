"""``offmesh version``."""

import click

from xds_server import __version__
from xds_server.cli.logs import log_options


@click.command()
@log_options
def version() -> None:
    """Print the version."""
    click.echo(f"offmesh {__version__}")
