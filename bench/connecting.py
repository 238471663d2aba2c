"""Rows in which clients connect."""

import time

from bench.clients import HeldClients, OneClient, held_clients
from bench.meshes import LARGE, USUAL, Meshes
from bench.server import serving

# What a server still does when the last client has just been told: reading acknowledgements.
_AFTERMATH_SECONDS = 1.0
# One return takes few ticks of the kernel's clock.
_RETURNS = 5


def four_hundred(meshes: Meshes) -> tuple[float, ...]:
    """Return the number of refused clients, the time of the last in sync and the server's CPU, in seconds."""
    folder = meshes.of(USUAL)
    with serving(folder) as server:
        before = server.cpu_seconds
        with held_clients(server.grpc, 400, folder) as clients:
            time.sleep(_AFTERMATH_SECONDS)
            return clients.summary["refused"], _last(clients), server.cpu_seconds - before


def memory(meshes: Meshes) -> tuple[float, ...]:
    """Return what is resident of an idle server, and with 400 clients that have come at once, in MB."""
    folder = meshes.of(USUAL)
    with serving(folder) as server:
        time.sleep(_AFTERMATH_SECONDS)
        idle = server.resident_mb
        with held_clients(server.grpc, 400, folder):
            time.sleep(_AFTERMATH_SECONDS)
            return idle, server.resident_mb


def twenty_of_a_large_mesh(meshes: Meshes) -> tuple[float, ...]:
    """Return the time of the last client in sync, in seconds."""
    folder = meshes.of(LARGE)
    with serving(folder) as server, held_clients(server.grpc, 20, folder) as clients:
        return (_last(clients),)


def reconnect(meshes: Meshes) -> tuple[float, ...]:
    """Return the resources sent again and the server's CPU in milliseconds, for one return of several."""
    with serving(meshes.of(LARGE)) as server:
        client = OneClient(server.grpc)
        client.synchronize()
        time.sleep(_AFTERMATH_SECONDS)
        before = server.cpu_seconds
        sent = sum(client.synchronize() for _ in range(_RETURNS))
        time.sleep(_AFTERMATH_SECONDS)
        return sent / _RETURNS, (server.cpu_seconds - before) / _RETURNS * 1e3


def _last(clients: HeldClients) -> float:
    return float(clients.summary["sync_max_s"])
