"""
A real ztunnel, named by ZTUNNEL_BIN, and whose identities it holds while the map and its token change.

It needs ports 15000 to 15053 of this machine, and to be root.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_ztunnel import CARRIED, certificates, config_dump, placed, until, ztunnel
from tests.helpers.offmesh import EXAMPLE, Offmesh, serve

DETAILS = "spiffe://cluster.local/ns/default/sa/bookinfo-details"
REVIEWS = "spiffe://cluster.local/ns/default/sa/bookinfo-reviews"
pytestmark = pytest.mark.xdist_group("ztunnel")


def shared(folder: Path, node: str) -> dict[str, str]:
    """Return the mode that prefetches certificates, without a CNI."""
    return {"PROXY_MODE": "shared", "NODE_NAME": node, "INPOD_UDS": str(folder / "none")}


def states() -> dict[str, Any]:
    """Return what ztunnel says of each certificate it wants."""
    return {item["identity"]: item["state"] for item in config_dump().get("certificates", [])}


def nodes_of(name: str) -> set[str]:
    """Return where ztunnel sees the workloads whose names begin so."""
    return {node for uid, node in placed().items() if f"/default/{name}-" in uid}


def issued(offmesh: Offmesh) -> set[str]:
    held = offmesh.get("/debug/secretz")["identities"]
    return {item["identity"] for item in held if item["serial"]}


async def test_it_takes_and_forgets_certificates_as_map_and_pods_change(tmp_path: Path) -> None:
    manifests = shutil.copytree(EXAMPLE / "mesh", tmp_path / "mesh")
    conf = Path(shutil.copy(EXAMPLE / "cluster-conf.yaml", tmp_path))
    before = conf.read_text()
    with serve(tmp_path, manifests=manifests, cluster_conf=conf) as offmesh:
        async with ztunnel(offmesh, tmp_path, **shared(tmp_path, "dpu-a")):
            await until(lambda: certificates() == CARRIED)
            conf.write_text(before.replace("192.168.50.134", "192.168.50.131"))
            await until(lambda: certificates() == CARRIED | {DETAILS})
            (manifests / "details.yaml").rename(tmp_path / "details.yaml")
            await until(lambda: certificates() == CARRIED)
            conf.write_text(before)
            await until(lambda: "dpu-b" in nodes_of("reviews"))
            (tmp_path / "details.yaml").rename(manifests / "details.yaml")
            await until(lambda: nodes_of("details") == {"dpu-b"})
            assert states().keys() == CARRIED
        assert "denied" not in offmesh.log.read_text()


async def test_calling_itself_another_node_gets_it_nothing(tmp_path: Path) -> None:
    """The token is of dpu-a's ztunnel; what it claims to be is of no weight."""
    conf = EXAMPLE / "cluster-conf.yaml"
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        async with ztunnel(offmesh, tmp_path, **shared(tmp_path, "dpu-b")):
            await until(lambda: DETAILS in states() and "Initializing" not in states().values())
            held = await asyncio.to_thread(states)
        assert "Unavailable" in held[DETAILS]
        # Pods of reviews are on both CPU nodes: that one is its own to have.
        assert held.keys() - {REVIEWS} == {DETAILS}
        assert await asyncio.to_thread(issued, offmesh) <= {REVIEWS}
        told = f"denied '{DETAILS}' to pod istio-system/ztunnel-b4n8k on node dpu-a by CreateCertificate"
        assert told in offmesh.log.read_text()


@pytest.mark.parametrize("token", ["nonsense", ""])
async def test_without_a_good_token_it_gets_neither_mesh_nor_certificates(tmp_path: Path, token: str) -> None:
    conf = EXAMPLE / "cluster-conf.yaml"
    with serve(tmp_path, manifests=EXAMPLE / "mesh", cluster_conf=conf) as offmesh:
        more = {**shared(tmp_path, "dpu-a"), "AUTH_TOKEN": token}
        async with ztunnel(offmesh, tmp_path, **more) as log:
            await until(lambda: log.read_text().lower().count("unauthenticated") >= 2)
            dump = await asyncio.to_thread(config_dump)
        assert dump["workloads"] == []
        assert dump["certificates"] == []
        assert await asyncio.to_thread(issued, offmesh) == set()


async def test_the_end_of_its_pod_ends_what_it_may_ask_for(tmp_path: Path) -> None:
    manifests = shutil.copytree(EXAMPLE / "mesh", tmp_path / "mesh")
    conf = Path(shutil.copy(EXAMPLE / "cluster-conf.yaml", tmp_path))
    with serve(tmp_path, manifests=manifests, cluster_conf=conf) as offmesh:
        async with ztunnel(offmesh, tmp_path, **shared(tmp_path, "dpu-a")):
            await until(lambda: certificates() == CARRIED)
            (manifests / "ztunnel.yaml").unlink()
            await until(lambda: "ztunnel-b4n8k" not in str(config_dump()["workloads"]))
            conf.write_text(conf.read_text().replace("192.168.50.134", "192.168.50.131"))
            await until(lambda: "Unavailable" in states().get(DETAILS, ""))
        assert await asyncio.to_thread(issued, offmesh) == CARRIED
