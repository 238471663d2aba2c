"""Flags whose environment variables follow from their names."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def flag(name: str, default: object, help_text: str, **more: Any) -> Callable[[F], F]:
    """Make an option ``--some-name`` that ``OFFMESH_SOME_NAME`` sets, too."""
    variable = "OFFMESH_" + name.partition("/")[0].removeprefix("--").upper().replace("-", "_")
    return click.option(
        name, default=default, envvar=variable, show_default=True, show_envvar=True, help=help_text, **more
    )
