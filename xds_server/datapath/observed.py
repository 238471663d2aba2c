"""What a kernel holds, as far as a plan needs to know."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from xds_server.datapath.program import Jump, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """``held`` has all of ours that is there, and every sysctl that was asked for as it is."""

    held: Program
    jumps: Mapping[Jump, tuple[int, ...]] = field(default_factory=dict)
    """Positions of every jump to a chain of ours, from 1 within its built-in chain; one each is right."""
    clashes: tuple[str, ...] = ()
    """Foreign objects in the place of ours, each told with what it is and where."""
