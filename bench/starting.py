"""The row in which a server starts."""

from bench.meshes import LARGE, Meshes
from bench.server import serving


def start(meshes: Meshes) -> tuple[float, ...]:
    """Return the time from the command to ready, in seconds, and what is resident then, in MB."""
    with serving(meshes.of(LARGE)) as server:
        return server.start_seconds, server.resident_mb
