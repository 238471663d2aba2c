"""``offmesh replay``: what it prints of what it is given."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.helpers.served_mesh import shop
from xds_server.cli import main
from xds_server.debug.json_text import json_slices
from xds_server.debug.question import Question
from xds_server.debug.views_registry import registryz

ADDRESS = "type.googleapis.com/istio.workload.Address"
AUTHORIZATION = "type.googleapis.com/istio.security.Authorization"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {nodeName: cpu}
status: {phase: Running, podIP: 10.0.0.1}
"""
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: all, namespace: shop}
spec: {rules: [{to: [{operation: {ports: [http]}}]}]}
"""
MAP = "pairs: [{cpuNodeIP: 192.0.2.1, dpuNodeIP: 192.0.2.2, cpuNodeName: cpu, dpuNodeName: dpu}]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("pod.yaml").write_text(POD)
    Path("policy.yaml").write_text(POLICY)
    Path("map.yaml").write_text(MAP)
    Path("capture.json").write_bytes(b"".join(json_slices(_capture, pretty=False)))
    return tmp_path


def _capture() -> object:
    return registryz(shop().served, Question({"full": "1"}))


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["replay", *arguments], input=stdin)


def resources(made: Result) -> Any:
    assert made.exit_code == 0, made.stderr
    return json.loads(made.stdout)


@pytest.mark.usefixtures("folder")
def test_every_resource_is_printed_by_type_and_name() -> None:
    made = resources(run("pod.yaml", "policy.yaml"))
    assert list(made) == [AUTHORIZATION, ADDRESS]
    assert made[ADDRESS]["Kubernetes//Pod/shop/web"]["workload"]["addresses"] == ["CgAAAQ=="]
    assert list(made[AUTHORIZATION]) == ["shop/all"]


@pytest.mark.usefixtures("folder")
def test_the_order_of_the_input_does_not_show() -> None:
    assert run("pod.yaml", "policy.yaml").stdout == run("policy.yaml", "pod.yaml").stdout


@pytest.mark.usefixtures("folder")
def test_what_is_wrong_is_told_apart() -> None:
    made = run("policy.yaml")
    assert made.exit_code == 0
    assert "shop/all: rules[0].to[0].operation.ports[0] is 'http'" in made.stderr


@pytest.mark.usefixtures("folder")
def test_standard_input_is_a_file_too() -> None:
    assert run("-", stdin=POD).stdout == run("pod.yaml").stdout


@pytest.mark.usefixtures("folder")
def test_settings_and_placement_are_flags() -> None:
    made = resources(run("pod.yaml", "--cluster-id=one", "--network=n", "--cluster-conf=map.yaml"))
    (workload,) = (one["workload"] for one in made[ADDRESS].values())
    assert (workload["clusterId"], workload["network"], workload["node"]) == ("one", "n", "dpu")


@pytest.mark.usefixtures("folder")
def test_the_capture_of_a_server_gives_what_that_server_serves() -> None:
    made = resources(run("capture.json"))
    served = shop().catalog.lookup.addresses
    assert sorted(made[ADDRESS]) == sorted(served)
    assert made[ADDRESS]["Kubernetes//Pod/shop/web-1"]["workload"]["node"] == "dpu-a"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent.yaml"], "does not exist"),
        ([], "Missing argument"),
        (["."], "is a directory"),
        (["map.yaml"], ""),
        (["capture.json", "pod.yaml"], "capture.json is what a whole registry held"),
        (["pod.yaml", "capture.json"], "capture.json is what a whole registry held"),
        (["capture.json", "--network=n"], "--network: capture.json has the settings"),
        (["capture.json", "--cluster-conf=map.yaml"], "--cluster-conf: capture.json has the settings"),
        (["pod.yaml", "--cluster-conf=absent.yaml"], "absent.yaml: placement map is missing"),
        (["pod.yaml", "--cluster-conf=pod.yaml"], "pod.yaml:1"),
        (["broken.yaml"], "broken.yaml"),
    ],
)
def test_what_cannot_be_replayed_exits_2_or_tells(arguments: list[str], told: str) -> None:
    Path("broken.yaml").write_text("kind: [")
    made = run(*arguments)
    if told:
        assert (made.exit_code, made.stdout) == (2, "")
        assert told in made.stderr
    else:
        assert made.exit_code == 0
        assert "kind is missing" in made.stderr or "apiVersion is missing" in made.stderr


ISTIO = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "trustDomain: %s"}
"""


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "domain"), [((), "corp.example"), (("--trust-domain=given.example",), "given.example")]
)
def test_the_config_map_among_the_files_names_the_mesh_unless_a_flag_does(
    arguments: tuple[str, ...], domain: str
) -> None:
    Path("istio.yaml").write_text(ISTIO % "corp.example")
    made = resources(run("pod.yaml", "istio.yaml", *arguments))
    assert made[ADDRESS]["Kubernetes//Pod/shop/web"]["workload"]["trustDomain"] == domain


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ISTIO % "12", "ConfigMap istio-system/istio: data.mesh: trustDomain is 12: expected"),
        (
            ISTIO.replace('"trustDomain: %s"', "12"),
            "istio.yaml:4: MeshConfigMap istio-system/istio data.mesh is",
        ),
    ],
)
def test_a_config_map_that_cannot_name_the_mesh_is_refused(text: str, message: str) -> None:
    Path("istio.yaml").write_text(text)
    made = run("pod.yaml", "istio.yaml")
    assert made.exit_code == 2
    assert message in made.stderr
    flags = ("--trust-domain=given.example", "--root-namespace=istio-system")
    assert run("pod.yaml", "istio.yaml", *flags).exit_code == 0
