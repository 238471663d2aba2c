"""Rows in which ztunnels ask for certificates: how many a second, and what becomes of all else meanwhile."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

from bench.changes import latencies_ms, make_changes
from bench.changing import STREAMS, WARM_UP_CHANGES
from bench.clients import held_clients
from bench.figures import percentile
from bench.layout import node_name
from bench.meshes import USUAL, Meshes
from bench.server import ROOT, Server, serving

_ZTUNNEL = "istio-system/ztunnel-bench"
_CARRIED = "spiffe://cluster.local/ns/bench/sa/carried"
_SETTLE_SECONDS = 1.0
_STORM = 2_000
_STORM_CONNECTIONS = 20
_PROBE_SECONDS = 0.02


def eight_callers(meshes: Meshes) -> tuple[float, ...]:
    """Return certificates a second, p50 and p99 in milliseconds."""
    with signing(meshes) as (server, folder):
        told = called(server, folder, "--callers=8")
    return told["per_second"], told["p50_ms"], told["p99_ms"]


def one_caller(meshes: Meshes) -> tuple[float, ...]:
    with signing(meshes) as (server, folder):
        return (called(server, folder, "--callers=1")["per_second"],)


def pushes_meanwhile(meshes: Meshes) -> tuple[float, ...]:
    """Return p50 and p99 of change → client in milliseconds, and certificates a second beside it."""
    pods = meshes.changing_pods(USUAL)
    with signing(meshes) as (server, folder), held_clients(server.grpc, STREAMS, folder) as clients:
        make_changes(pods, WARM_UP_CHANGES, per_second=20)
        time.sleep(_SETTLE_SECONDS)
        callers = start_callers(server, folder, "--callers=8", "--seconds=14")
        time.sleep(2 * _SETTLE_SECONDS)
        changes = make_changes(pods, 20, per_second=2)
        time.sleep(_SETTLE_SECONDS)
        taken = latencies_ms(changes, clients.stop(), STREAMS)
        told = told_by(callers)
    return percentile(taken, 0.50), percentile(taken, 0.99), told["per_second"]


def storm(meshes: Meshes) -> tuple[float, ...]:
    """Return of 2,000 requests at once how many were refused, p99 in seconds, and the slowest probe in ms."""
    with signing(meshes) as (server, folder):
        called(server, folder, "--callers=1", "--seconds=0.5")
        with probed(server) as slowest:
            told = called(server, folder, f"--callers={_STORM_CONNECTIONS}", f"--at-once={_STORM}")
    return float(sum(told["refused"].values())), told["p99_ms"] / 1e3, max(slowest) * 1e3


@contextmanager
def signing(meshes: Meshes) -> Iterator[tuple[Server, Path]]:
    """Serve the usual mesh with a ztunnel on a DPU node and a pod on the CPU node that it serves."""
    folder = meshes.of(USUAL)
    pods = [
        pod("istio-system", "ztunnel-bench", "ztunnel", node_name(1)),
        pod("bench", "carried", "carried", node_name(0)),
    ]
    (folder / "mesh" / "callers.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    )
    with serving(folder) as server:
        yield server, folder


def pod(namespace: str, name: str, account: str, node: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": f"{name}-uid"},
        "spec": {"nodeName": node, "serviceAccountName": account},
        "status": {"phase": "Running"},
    }


def called(server: Server, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run callers to their end; return what they tell."""
    return told_by(start_callers(server, folder, *arguments))


def start_callers(server: Server, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    certs = folder / "certs"
    make = [sys.executable, "-m", "xds_server", "token", f"--pod={_ZTUNNEL}", f"--certs={certs}"]
    manifests = f"--manifests={folder / 'mesh' / 'callers.json'}"
    token = subprocess.run([*make, manifests], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    command = [sys.executable, str(ROOT / "bench" / "callers.py"), f"--address={server.secure}"]
    command += [f"--certs={certs}", f"--token={token}", f"--identity={_CARRIED}", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told_by(callers: "subprocess.Popen[str]") -> dict[str, Any]:
    output, _ = callers.communicate(timeout=120)
    told: dict[str, Any] = json.loads(output)
    return told


@contextmanager
def probed(server: Server) -> Iterator[list[float]]:
    """Ask /ready again and again until the block ends; the list gets the seconds each took."""
    taken: list[float] = []
    stop = threading.Event()

    def probe() -> None:
        connection = http.client.HTTPConnection(server.http, timeout=30)
        while not stop.is_set():
            begun = time.perf_counter()
            connection.request("GET", "/ready")
            ready = connection.getresponse()
            ready.read()
            taken.append(time.perf_counter() - begun if ready.status == 200 else inf)
            time.sleep(_PROBE_SECONDS)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()
