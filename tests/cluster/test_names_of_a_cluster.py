"""The real command takes trust domain and root namespace from Istio's ConfigMap, with the chart's rights."""

import asyncio
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.api_server import ApiServer
from tests.helpers.cluster_objects import account, config_map, crds, namespace, node, pod
from tests.helpers.followed_cluster import until
from tests.helpers.helm import rendered
from tests.helpers.offmesh import ROOT, Offmesh, serve_cluster
from tests.helpers.programs import free_ports

ISTIO = "istio-system/istio"
RIGHT = "expected list and watch of configmaps in namespace istio-system"
PLACE = "--cluster-conf-configmap=istio-system/offmesh-conf"


@pytest.fixture
async def cluster(own_api_server: ApiServer) -> AsyncIterator[ApiServer]:
    server = own_api_server
    await server.apply(*crds(), namespace("istio-system"), namespace("shop"))
    await server.apply(*rendered())
    await server.apply(config_map("istio-system/offmesh-conf", **{"cluster-conf.yaml": "pairs: []\n"}))
    await server.apply(node("n", "192.0.2.1"), account("shop/app"))
    await server.apply(pod("shop/app", "n", "10.1.0.1", "app", {"app": "app"}))
    yield server


@pytest.fixture
async def kubeconfig(cluster: ApiServer, tmp_path: Path) -> Path:
    return await cluster.kubeconfig_of_account(tmp_path / "kubeconfig", "istio-system", "offmesh")


@contextmanager
def serving(folder: Path, kubeconfig: Path, *flags: str) -> Iterator[Offmesh]:
    with serve_cluster(folder, kubeconfig, PLACE, *flags, POD_NAMESPACE="istio-system") as offmesh:
        yield offmesh


@contextmanager
def started(folder: Path, kubeconfig: Path, health: int) -> Iterator["subprocess.Popen[str]"]:
    """Start a server that need not become ready."""
    addresses = [f"--{name}-address=127.0.0.1:0" for name in ("grpc", "secure-grpc", "http")]
    command = [sys.executable, "-m", "xds_server", "serve", f"--kubeconfig={kubeconfig}", *addresses]
    command += [f"--health-address=127.0.0.1:{health}", PLACE]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stderr=log, text=True, cwd=ROOT) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def readiness(port: int) -> str:
    """Return what the probe tells; nothing while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(json.load(error)["reason"])
    except OSError:
        return ""


def domain(offmesh: Offmesh) -> str:
    (one,) = offmesh.get("/debug/ambientz?name=app")["workloads"]
    return str(one.get("trustDomain", ""))


def told(offmesh: Offmesh) -> list[str]:
    inputs: list[Any] = offmesh.get("/debug/errorsz")["inputs"]
    return [one["text"] for one in inputs]


async def test_a_change_of_the_config_map_is_told_and_takes_effect_at_the_next_start(
    cluster: ApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    await cluster.apply(config_map(ISTIO, mesh="{trustDomain: corp.example, rootNamespace: root}"))
    with serving(tmp_path, kubeconfig) as offmesh:
        assert (domain(offmesh), told(offmesh)) == ("corp.example", [])
        await cluster.apply(config_map(ISTIO, mesh="{trustDomain: other.example, rootNamespace: root}"))
        await until(lambda: told(offmesh))
        expected = (
            f"ConfigMap {ISTIO}: mesh.trustDomain is 'other.example': expected 'corp.example', with which"
        )
        assert [text.startswith(expected) for text in told(offmesh)] == [True]
        assert domain(offmesh) == "corp.example"
        await cluster.delete(config_map(ISTIO))
        await until(lambda: len(told(offmesh)) == 2)
        assert offmesh.stop() == 0
        log = offmesh.log.read_text()
        assert "trustDomain corp.example, rootNamespace root" in log and "(403)" not in log
    with serving(tmp_path, kubeconfig) as offmesh:
        assert (domain(offmesh), told(offmesh)) == ("", [])


async def test_a_flag_comes_first(cluster: ApiServer, kubeconfig: Path, tmp_path: Path) -> None:
    await cluster.apply(config_map(ISTIO, mesh="trustDomain: corp.example"))
    with serving(tmp_path, kubeconfig, "--trust-domain=given.example") as offmesh:
        assert (domain(offmesh), told(offmesh)) == ("given.example", [])
        reasons = [one["reason"] for one in offmesh.get("/debug/errorsz")["derived"]]
        assert any("expected 'given.example', which --trust-domain says" in reason for reason in reasons)


async def test_a_config_map_that_cannot_be_used_starts_no_server(
    cluster: ApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    await cluster.apply(config_map(ISTIO, mesh="trustDomain: ["))
    with started(tmp_path, kubeconfig, *free_ports(1)) as process:
        assert await asyncio.to_thread(process.wait, 60) == 2
    log = (tmp_path / "log").read_text()
    assert f"offmesh: ConfigMap {ISTIO}: data.mesh cannot be read" in log and "Traceback" not in log


async def test_the_right_to_read_it_is_waited_for_and_named_by_the_probe(
    cluster: ApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    of_config = [one for one in rendered() if one["metadata"]["name"].endswith("-mesh-config")]
    await cluster.delete(*of_config)
    (port,) = free_ports(1)
    with started(tmp_path, kubeconfig, port) as process:
        await until(lambda: RIGHT in readiness(port), 60)
        await cluster.apply(*of_config)
        await until(lambda: '"ready":true' in readiness(port).replace(" ", ""), 60)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
    assert (tmp_path / "log").read_text().count(RIGHT) == 1


async def test_a_server_that_waits_for_an_api_server_ends_at_a_signal(
    cluster: ApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    await cluster.stop_server()
    (port,) = free_ports(1)
    with started(tmp_path, kubeconfig, port) as process:
        await until(lambda: f"ConfigMap {ISTIO} is not read" in readiness(port), 60)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
