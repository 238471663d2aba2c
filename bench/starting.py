"""Rows in which a server starts."""

from pathlib import Path

from bench.meshes import LARGE, Meshes
from bench.server import serving


def start(meshes: Meshes) -> tuple[float, ...]:
    """Return the time from the command to ready, in seconds, and what is resident then, in MB."""
    return _start(meshes.of(LARGE))


def start_where_governed(meshes: Meshes) -> tuple[float, ...]:
    return _start(meshes.of(LARGE, governed=True))


def _start(folder: Path) -> tuple[float, ...]:
    with serving(folder) as server:
        return server.start_seconds, server.resident_mb
