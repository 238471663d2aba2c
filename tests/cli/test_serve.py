"""``offmesh serve``: its flags, its ports, and the way from an edited file to a connected client."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.offmesh import EXAMPLE, ROOT, Offmesh, serve
from tests.helpers.running_ads import DeltaClient

MAP = "pairs:\n  - {cpuNodeIP: 192.0.2.1, dpuNodeIP: 192.0.2.2, cpuNodeName: cpu, dpuNodeName: %s}\n"
POD = """\
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app", "namespace": "ns"},
 "spec": {"nodeName": "cpu"}, "status": {"podIP": "10.0.0.1", "phase": "%s"}}
"""
UID = "Kubernetes//Pod/ns/app"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "xds_server", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to serve: expected --manifests"),
        (("--manifests=/nowhere",), "--manifests /nowhere: no such file or folder"),
        (("--manifests=examples", "--cluster-conf=/nowhere.yaml"), "/nowhere.yaml"),
        (("--manifests=examples", "--grpc-address=0.0.0.0:0"), "--insecure-grpc-anywhere"),
        (("--manifests=examples", "--grpc-address=example.com:0"), "expected a loopback address"),
        (("--manifests=examples", "--grpc-address=nonsense"), "expected HOST:PORT"),
        (("--manifests=examples", "--http-address=127.0.0.1:99999"), "--http-address"),
        (("--manifests=examples", "--secure-grpc-address=nonsense"), "--secure-grpc-address nonsense"),
        (("--manifests=examples", "--drain-seconds=-1"), "drain-seconds"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_wrong_use_exits_2_with_a_message_and_no_traceback(arguments: tuple[str, ...], message: str) -> None:
    made = run("serve", *arguments)
    assert made.returncode == 2, made.stderr
    assert message in made.stderr
    assert "Traceback" not in made.stderr


def test_help_explains_each_flag_with_default_and_variable() -> None:
    text = " ".join(run("serve", "--help").stdout.split())
    for flag, default in (
        ("--grpc-address", "127.0.0.1:15010"),
        ("--drain-seconds", "10.0"),
        ("--log-format", "text"),
    ):
        assert flag in text
        assert default in text
    assert "OFFMESH_GRPC_ADDRESS" in text


def test_flags_may_come_from_the_environment() -> None:
    assert "--manifests /nowhere" in run("serve", OFFMESH_MANIFESTS="/nowhere").stderr


def test_a_bad_map_at_the_start_exits_2_with_its_line(tmp_path: Path) -> None:
    conf = tmp_path / "cluster-conf.yaml"
    conf.write_text("pairs:\n  - cpuNodeIP: 192.0.2.1\n    dpuNodeIP: nonsense\n")
    made = run(
        "serve",
        "--manifests=examples",
        f"--cluster-conf={conf}",
        "--health-address=",
        "--http-address=127.0.0.1:0",
        "--grpc-address=127.0.0.1:0",
    )
    assert made.returncode == 2, made.stderr
    assert f"{conf}:3" in made.stderr
    assert "Traceback" not in made.stderr


def test_version_and_module_are_the_same_command() -> None:
    assert run("version").stdout.startswith("offmesh 0.")
    assert run("--version").stdout.startswith("offmesh")


class Mesh:
    """A folder with one pod and one pair, and the server that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mesh"
        self.folder.mkdir()
        self.conf = folder / "cluster-conf.yaml"
        self.conf.write_text(MAP % "dpu")
        self.pod = self.folder / "pod.json"
        self.pod.write_text(POD % "Running")


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


def node_of(response: Any) -> str:
    from xds_server.protobuf.workloadapi import workload_pb2 as api

    address = api.Address()
    assert response.resources[0].resource.Unpack(address)
    return address.workload.node


async def test_an_edited_map_and_an_edited_file_reach_a_connected_client(mesh: Mesh, tmp_path: Path) -> None:
    with serve(tmp_path, manifests=mesh.folder, cluster_conf=mesh.conf) as offmesh:
        async with DeltaClient(offmesh.grpc) as client:
            await client.subscribe()
            assert node_of(await client.receive()) == "dpu"
            mesh.conf.write_text(MAP % "other-dpu")
            assert node_of(await client.receive()) == "other-dpu"
            mesh.pod.write_text((POD % "Running").replace("10.0.0.1", "10.0.0.2"))
            assert [resource.name for resource in (await client.receive()).resources] == [UID]
            mesh.pod.unlink()
            assert list((await client.receive()).removed_resources) == [UID]


async def test_a_bad_map_is_told_and_the_last_good_one_stays(mesh: Mesh, tmp_path: Path) -> None:
    with serve(tmp_path, manifests=mesh.folder, cluster_conf=mesh.conf) as offmesh:
        mesh.conf.write_text("pairs: nonsense\n")
        told = until(lambda: offmesh.get("/debug/placementz")["failure"])
        assert f"{mesh.conf}:1" in json.dumps(told)
        async with DeltaClient(offmesh.grpc) as client:
            await client.subscribe()
            assert node_of(await client.receive()) == "dpu"


def test_a_broken_file_is_told_and_what_it_held_stays(mesh: Mesh, tmp_path: Path) -> None:
    with serve(tmp_path, manifests=mesh.folder, cluster_conf=mesh.conf) as offmesh:
        mesh.pod.write_text((POD % "Running")[:40])
        until(lambda: offmesh.get("/debug/errorsz")["inputs"])
        assert [item["uid"] for item in offmesh.get("/debug/ambientz")["workloads"]] == [UID]


def until(told: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Ask again until the answer is true."""
    deadline = time.monotonic() + seconds
    while not (answer := told()):
        assert time.monotonic() < deadline, "not told in time"
        time.sleep(0.02)
    return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(mesh: Mesh, tmp_path: Path, number: signal.Signals) -> None:
    with serve(tmp_path, manifests=mesh.folder, cluster_conf=mesh.conf) as offmesh:
        offmesh.process.send_signal(number)
        assert offmesh.process.wait(20) == 0
        assert "Traceback" not in (tmp_path / "log").read_text()


def probe(offmesh: Offmesh, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{offmesh.health}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_probes_answer_on_the_health_port(mesh: Mesh, tmp_path: Path) -> None:
    with serve(tmp_path, manifests=mesh.folder, cluster_conf=mesh.conf) as offmesh:
        assert [probe(offmesh, path) for path in ("/ready", "/live", "/healthz", "/debug/syncz")] == [
            200,
            200,
            200,
            404,
        ]


async def test_it_is_not_ready_while_it_drains(mesh: Mesh, tmp_path: Path) -> None:
    with serve(tmp_path, "--drain-seconds=3", manifests=mesh.folder, cluster_conf=mesh.conf) as offmesh:
        async with DeltaClient(offmesh.grpc) as first, DeltaClient(offmesh.grpc) as second:
            for client in (first, second):
                await client.subscribe()
                await client.receive()
            offmesh.process.send_signal(signal.SIGTERM)
            until(lambda: probe(offmesh, "/ready") == 503)
        assert offmesh.process.wait(20) == 0


def test_json_logs_are_one_object_a_line(mesh: Mesh, tmp_path: Path) -> None:
    with serve(tmp_path, "--log-format=json", manifests=mesh.folder, cluster_conf=mesh.conf) as offmesh:
        offmesh.stop()
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert lines
    assert all({"time", "level", "logger", "message"} <= json.loads(line).keys() for line in lines)


def test_the_secure_port_is_told_and_can_be_turned_off(mesh: Mesh, tmp_path: Path) -> None:
    with serve(tmp_path, "--secure-grpc-address=127.0.0.1:0", manifests=mesh.folder, cluster_conf=mesh.conf):
        assert sorted(json.loads((tmp_path / "ready.json").read_text())) == [
            "grpc",
            "health",
            "http",
            "secureGrpc",
        ]
    with serve(tmp_path, "--secure-grpc-address=", manifests=mesh.folder, cluster_conf=mesh.conf):
        assert sorted(json.loads((tmp_path / "ready.json").read_text())) == ["grpc", "health", "http"]


def test_versions_are_equal_on_another_replica(tmp_path: Path) -> None:
    versions = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        copy = shutil.copytree(EXAMPLE / "mesh", folder / "mesh")
        with serve(folder, manifests=copy, cluster_conf=EXAMPLE / "cluster-conf.yaml") as offmesh:
            versions.append(versions_of(offmesh))
    assert versions[0] == versions[1]
    assert len(versions[0]) > 10


def versions_of(offmesh: Offmesh) -> dict[str, str]:
    import asyncio

    async def read() -> dict[str, str]:
        async with DeltaClient(offmesh.grpc) as client:
            await client.subscribe()
            await client.receive()
            return client.held

    return asyncio.run(read())
