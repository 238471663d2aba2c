"""The real command takes trust domain and root namespace from the ConfigMap among its manifests."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.followed_cluster import until
from tests.helpers.offmesh import ROOT, Offmesh, serve

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: shop}
spec: {nodeName: cpu}
status: {phase: Running, podIP: 10.0.0.1}
"""


def config_map(mesh: str, name: str = "istio") -> str:
    meta = f"{{name: {name}, namespace: istio-system}}"
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {meta}\ndata:\n  mesh: |\n    {mesh}\n"


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    folder = tmp_path / "mesh"
    folder.mkdir()
    (folder / "pod.yaml").write_text(POD)
    (folder / "istio.yaml").write_text(config_map("trustDomain: corp.example"))
    (tmp_path / "map.yaml").write_text("pairs: []\n")
    return folder


def served_domain(offmesh: Offmesh) -> str:
    (one,) = offmesh.get("/debug/ambientz?name=app")["workloads"]
    return str(one.get("trustDomain", ""))


def problems(offmesh: Offmesh) -> str:
    return str(offmesh.get("/debug/errorsz"))


async def test_the_config_map_names_the_mesh_and_a_later_edit_is_told_and_changes_nothing(
    mesh: Path, tmp_path: Path
) -> None:
    with serve(tmp_path, manifests=mesh, cluster_conf=tmp_path / "map.yaml") as offmesh:
        assert served_domain(offmesh) == "corp.example"
        assert "mesh.trustDomain" not in problems(offmesh)
        (mesh / "istio.yaml").write_text(config_map("trustDomain: other.example"))
        await until(lambda: "mesh.trustDomain" in problems(offmesh))
        assert served_domain(offmesh) == "corp.example"
        (mesh / "istio.yaml").write_text(config_map("trustDomain: corp.example"))
        await until(lambda: "mesh.trustDomain" not in problems(offmesh))
        log = offmesh.log.read_text()
        assert "the mesh is named by ConfigMap istio-system/istio: trustDomain corp.example" in log
        assert log.count("restart it to use another") == 1


@pytest.mark.parametrize(
    ("flag", "domain", "reason"),
    [
        (
            "--trust-domain=given.example",
            "given.example",
            "mesh.trustDomain is 'corp.example': expected 'given.example', which --trust-domain says",
        ),
        ("--root-namespace=elsewhere", "", ""),
        ("--revision=canary", "canary.example", ""),
    ],
)
def test_a_flag_comes_first_and_says_which_config_map_it_is(
    mesh: Path, tmp_path: Path, flag: str, domain: str, reason: str
) -> None:
    (mesh / "canary.yaml").write_text(config_map("trustDomain: canary.example", "istio-canary"))
    with serve(tmp_path, flag, manifests=mesh, cluster_conf=tmp_path / "map.yaml") as offmesh:
        assert served_domain(offmesh) == domain
        reasons = [one["reason"] for one in offmesh.get("/debug/errorsz")["derived"]]
        assert [one[: len(reason)] for one in reasons] == [reason] * bool(reason)


@pytest.mark.parametrize(
    "text", ["trustDomain: [", "trustDomain: 12", "- trustDomain: a", "rootNamespace: Root"]
)
def test_a_config_map_that_cannot_be_used_starts_no_server(mesh: Path, tmp_path: Path, text: str) -> None:
    (mesh / "istio.yaml").write_text(config_map(text))
    addresses = [f"--{name}-address=127.0.0.1:0" for name in ("grpc", "secure-grpc", "http", "health")]
    command = [sys.executable, "-m", "xds_server", "serve", f"--manifests={mesh}", *addresses]
    command += [f"--cluster-conf={tmp_path / 'map.yaml'}", f"--certs={tmp_path / 'certs'}"]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert made.returncode == 2
    assert "offmesh: ConfigMap istio-system/istio: data.mesh" in made.stderr
    assert "Traceback" not in made.stderr
