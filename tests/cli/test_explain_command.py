"""``offmesh explain`` against a running server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.helpers.running_debug import RunningDebug, running_debug
from tests.helpers.served_mesh import ServedMesh, pod, shop
from tests.helpers.two_clusters import put_dpu
from xds_server.cli import main
from xds_server.objects.cluster_conf import Pair

WEB = "spiffe://cluster.local/ns/shop/sa/web"
ZTUNNEL = """
kind: Pod
metadata: {name: ztunnel-a, namespace: istio-system, uid: z}
spec: {nodeName: dpu-a, serviceAccountName: ztunnel}
"""


@pytest.fixture
def mesh(tmp_path: Path) -> ServedMesh:
    mesh = shop()
    mesh.give_identity(tmp_path)
    return mesh


@pytest.fixture
async def http(mesh: ServedMesh) -> AsyncIterator[RunningDebug]:
    async with running_debug(mesh.served) as running:
        yield running


async def explain(address: str, node: str, identity: str, *more: str) -> Result:
    command = ["explain", "--http-address", address, "--node", node, "--identity", identity, *more]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_what_is_granted_exits_0_and_lists_the_checks(mesh: ServedMesh, http: RunningDebug) -> None:
    mesh.put(ZTUNNEL)
    result = await explain(http.address, "dpu-a", WEB)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"passed identity: {WEB}"
    assert lines[-1] == f"{WEB} to the ztunnel of node dpu-a: granted"


async def test_what_is_denied_exits_1_and_says_what_was_expected(http: RunningDebug) -> None:
    result = await explain(http.address, "spare", WEB)
    assert result.exit_code == 1
    assert "FAILED pods spare carries: no pod of shop/web there" in result.output
    assert "       expected one bound to spare and not finished" in result.output
    assert result.output.splitlines()[-1].endswith("denied")


async def test_no_text_of_a_manifest_reaches_the_terminal_as_a_command(
    mesh: ServedMesh, http: RunningDebug
) -> None:
    mesh.put(ZTUNNEL.replace("ztunnel-a", "b") + 'status: {phase: "\\e[2J[bold]\\r"}')
    result = await explain(http.address, "dpu-a", "spiffe://cluster.local/ns/istio-system/sa/ztunnel")
    assert not set("\x1b\r") & set(result.output)
    assert "1 \ufffd[2J[bold]\ufffd on dpu-a" in result.output


async def test_json_is_what_the_server_tells(http: RunningDebug) -> None:
    result = await explain(http.address, "spare", WEB, "--format=json")
    told = json.loads(result.output)
    assert (told["node"], told["identity"], told["allowed"]) == ("spare", WEB, False)
    assert {"check", "passed", "found", "expected"} == told["checks"][0].keys()


async def test_the_cluster_of_the_node_is_asked_for_and_told(tmp_path: Path) -> None:
    mesh = ServedMesh(two_clusters=True)
    mesh.give_identity(tmp_path)
    mesh.put(ZTUNNEL, pod("web-1", "10.0.0.1"))
    put_dpu(mesh.registry, ZTUNNEL)
    mesh.place(Pair("192.0.2.10", "192.0.2.11", "cpu-a", "dpu-a"))
    async with running_debug(mesh.served) as http:
        theirs = await explain(http.address, "dpu-a", WEB, "--cluster", "dpu")
        namesakes = await explain(http.address, "dpu-a", WEB)
    assert theirs.exit_code == 0
    assert "passed node: in the DPU cluster a DPU node that serves cpu-a" in theirs.output
    assert theirs.output.splitlines()[-1] == f"{WEB} to the ztunnel of node dpu-a of the DPU cluster: granted"
    assert namesakes.exit_code == 1
    assert namesakes.output.splitlines()[-1] == f"{WEB} to the ztunnel of node dpu-a: denied"


async def test_nothing_asked_exits_2(http: RunningDebug) -> None:
    result = await explain(http.address, "", WEB)
    assert result.exit_code == 2
    assert "parameter node is empty" in result.output


async def test_a_server_that_is_not_there_exits_1() -> None:
    result = await explain("127.0.0.1:1", "spare", WEB)
    assert result.exit_code == 1
    assert "cannot be reached" in result.output


async def test_a_server_without_a_secure_port_exits_2() -> None:
    async with running_debug(shop().served) as http:
        result = await explain(http.address, "dpu-a", WEB)
    assert result.exit_code == 2
    assert "its secure port is off" in result.output
