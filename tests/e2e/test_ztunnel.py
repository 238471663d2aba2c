"""
A real ztunnel, named by ZTUNNEL_BIN, as the client: over TLS, with a token of ``offmesh token``.

It needs ports 15000 to 15053 of this machine, and in shared mode to be root.
"""

import asyncio
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.offmesh import EXAMPLE, Offmesh, serve

ZTUNNEL = os.environ["ZTUNNEL_BIN"]
POD = "istio-system/ztunnel-b4n8k"
CARRIED = {f"spiffe://cluster.local/ns/default/sa/bookinfo-{name}" for name in ("productpage", "reviews")}
pytestmark = pytest.mark.xdist_group("ztunnel")


@asynccontextmanager
async def ztunnel(offmesh: Offmesh, folder: Path, **more: str) -> AsyncIterator[Path]:
    """Run ztunnel as the one of ``dpu-a``; yield its log."""
    token = folder / "token"
    token.write_text(offmesh.token(POD, EXAMPLE / "mesh"))
    environment = {
        "XDS_ADDRESS": f"https://{offmesh.secure}",
        "CA_ADDRESS": f"https://{offmesh.secure}",
        "XDS_ROOT_CA": str(offmesh.root),
        "CA_ROOT_CA": str(offmesh.root),
        "AUTH_TOKEN": str(token),
        "POD_NAMESPACE": "istio-system",
        "IPV6_ENABLED": "false",
        "RUST_LOG": "info,ztunnel::xds=debug,ztunnel::identity=debug",
        **more,
    }
    log = folder / "ztunnel.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [ZTUNNEL, "proxy", "ztunnel"], env=environment, stdout=output, stderr=output
        )
        try:
            yield log
        finally:
            process.kill()
            process.wait()


async def until(told: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Ask again until the answer is true."""
    async with asyncio.timeout(seconds):
        while not (answer := await asyncio.to_thread(told)):
            await asyncio.sleep(0.05)
        return answer


def config_dump() -> Any:
    try:
        with urllib.request.urlopen("http://127.0.0.1:15000/config_dump", timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError):
        return {}


def placed() -> dict[str, str]:
    return {item["uid"]: item.get("node", "") for item in config_dump().get("workloads", [])}


def certificates() -> set[str]:
    """Return the identities ztunnel holds a certificate of."""
    held = config_dump().get("certificates", [])
    return {item["identity"] for item in held if item["state"] == "Available"}


def ready() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:15021/healthz/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


async def test_it_becomes_ready_holds_the_mesh_and_follows_the_map(tmp_path: Path) -> None:
    conf = Path(shutil.copy(EXAMPLE / "cluster-conf.yaml", tmp_path))
    alone = {"PROXY_MODE": "dedicated", "PROXY_WORKLOAD_INFO": "default/local/default"}
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        async with ztunnel(offmesh, tmp_path, **alone):
            await until(ready)
            served = await asyncio.to_thread(offmesh.get, "/debug/ambientz")
            expected = {item["uid"]: item.get("node", "") for item in served["workloads"]}
            assert placed() == expected
            cpu_pods = {
                uid for uid, node in expected.items() if node.startswith("dpu-") and "/default/" in uid
            }
            assert cpu_pods
            conf.write_text("singles: [192.0.2.1]\n")
            await until(lambda: not any(placed()[uid].startswith("dpu-") for uid in cpu_pods))
            (client,) = (await asyncio.to_thread(offmesh.get, "/debug/syncz"))["clients"]
            assert {state["state"] for state in client["types"].values()} == {"SYNCED"}
            assert client["identity"] == "spiffe://cluster.local/ns/istio-system/sa/ztunnel"


async def test_it_fetches_the_certificates_of_what_its_node_carries_and_no_others(tmp_path: Path) -> None:
    """Shared mode prefetches for every workload of its node; without a CNI it is never quite ready."""
    shared = {"PROXY_MODE": "shared", "NODE_NAME": "dpu-a", "INPOD_UDS": str(tmp_path / "none")}
    conf = EXAMPLE / "cluster-conf.yaml"
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        async with ztunnel(offmesh, tmp_path, **shared):
            await until(lambda: certificates() >= CARRIED)
            assert certificates() == CARRIED
        issued = await asyncio.to_thread(offmesh.get, "/debug/secretz")
        given = {item["identity"] for item in issued["identities"] if item["serial"]}
        assert given == CARRIED
        log = offmesh.log.read_text()
        assert "denied" not in log
