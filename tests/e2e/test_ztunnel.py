"""A real ztunnel, named by ZTUNNEL_BIN, as the client: it needs ports 15000 to 15053 of this machine."""

import asyncio
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.offmesh import EXAMPLE, serve
from tests.helpers.tls_forwarder import tls_forwarder, write_certificate

ZTUNNEL = os.environ["ZTUNNEL_BIN"]
pytestmark = pytest.mark.xdist_group("ztunnel")


def environment(port: int, root: Path) -> dict[str, str]:
    control_plane = f"https://localhost:{port}"
    return {
        "XDS_ADDRESS": control_plane,
        "CA_ADDRESS": control_plane,
        "XDS_ROOT_CA": str(root),
        "CA_ROOT_CA": str(root),
        "PROXY_MODE": "dedicated",
        "PROXY_WORKLOAD_INFO": "default/local/default",
        "IPV6_ENABLED": "false",
        "RUST_LOG": "info,ztunnel::xds=debug",
    }


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


def ready() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:15021/healthz/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


async def test_a_real_ztunnel_becomes_ready_holds_the_mesh_and_follows_the_map(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    conf = Path(shutil.copy(EXAMPLE / "cluster-conf.yaml", tmp_path))
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        async with tls_forwarder(certificate, offmesh.grpc) as port:
            log = (tmp_path / "ztunnel.log").open("w")
            command = [ZTUNNEL, "proxy", "ztunnel"]
            process = subprocess.Popen(command, env=environment(port, certificate), stdout=log, stderr=log)
            try:
                await until(ready)
                served = await asyncio.to_thread(offmesh.get, "/debug/ambientz")
                expected = {item["uid"]: item.get("node", "") for item in served["workloads"]}
                assert placed() == expected
                cpu_pods = [
                    uid for uid, node in expected.items() if node.startswith("dpu-") and "/default/" in uid
                ]
                assert cpu_pods
                conf.write_text("singles: [192.0.2.1]\n")
                moved = await until(
                    lambda: (
                        {uid: placed().get(uid, "") for uid in cpu_pods}
                        if not placed().get(cpu_pods[0], "dpu-").startswith("dpu-")
                        else None
                    )
                )
                assert not [uid for uid, node in moved.items() if node.startswith("dpu-")]
                (client,) = (await asyncio.to_thread(offmesh.get, "/debug/syncz"))["clients"]
                assert {state["state"] for state in client["types"].values()} == {"SYNCED"}
            finally:
                process.kill()
                process.wait()
                log.close()
