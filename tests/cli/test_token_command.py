"""``offmesh token``: what it prints where, and how it exits."""

import base64
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from xds_server.cli import main
from xds_server.identity.caller import BoundPod
from xds_server.identity.tokens.authenticator import TokenAuthenticator
from xds_server.identity.tokens.embedded import load_or_make

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "bookinfo" / "mesh"
ZTUNNEL = "istio-system/ztunnel-b4n8k"
UID = "2727aab4-363e-4b67-9c27-02cd0ab87d0b"


def pod(name: str, spec: str = "{nodeName: n, serviceAccountName: sa}", phase: str = "Running") -> str:
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: ns, uid: u-{name}}}\n"
        f"spec: {spec}\nstatus: {{phase: {phase}}}\n---\n"
    )


PODS = "".join(
    [
        pod("good"),
        pod("waiting", "{serviceAccountName: sa}", "Pending"),
        pod("bound", phase="Pending"),
        pod("done", phase="Succeeded"),
        pod("failed", phase="Failed"),
        pod("plain", "{nodeName: n}"),
        pod("anonymous").replace(", uid: u-anonymous", ""),
        pod("odd").replace("u-odd", "'u odd'"),
    ]
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with manifests of pods in every state."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pods.yaml").write_text(PODS)
    return tmp_path


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["token", *arguments])


def make(name: str, *arguments: str) -> Result:
    return run("--manifests=pods.yaml", f"--pod={name}", *arguments)


def run_apart(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a shell does."""
    command = [sys.executable, "-m", "xds_server", "token", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)


def payload(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return decoded


async def test_the_token_of_a_pod_proves_that_pod_to_a_server_with_the_same_certs(folder: Path) -> None:
    made = run_apart(f"--pod={ZTUNNEL}", f"--manifests={EXAMPLE}")
    claims = await TokenAuthenticator("istio-ca", (load_or_make(folder / "certs"),)).authenticate(made.stdout)
    assert (claims.namespace, claims.service_account) == ("istio-system", "ztunnel")
    assert claims.pod == BoundPod(ZTUNNEL, UID)
    assert claims.expires_at == pytest.approx(time.time() + 86_400, abs=60)


def test_only_the_token_is_printed_without_a_newline_and_all_else_goes_to_standard_error(
    folder: Path,
) -> None:
    made = make("ns/good")
    assert made.exit_code == 0
    assert made.stdout.count(".") == 2
    assert made.stdout == made.stdout.strip()
    assert "made the key that signs tokens: certs/token-key.pem" in made.stderr
    assert made.stdout not in made.stderr
    assert (folder / "certs" / "token-key.pem").stat().st_mode & 0o777 == 0o600


def test_a_terminal_gets_a_newline(folder: Path) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "xds_server", "token", "--pod=ns/good", "--manifests=pods.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, stdout=follower, stderr=subprocess.DEVNULL, check=True, env=environment)
    os.close(follower)
    shown = b""
    with open(leader, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor, no path
        while not shown.endswith(b"\n"):
            shown += terminal.read(4_096)
    assert shown.count(b".") == 2
    assert shown.endswith(b"\r\n")


@pytest.mark.parametrize(
    ("name", "account"), [("good", "sa"), ("bound", "sa"), ("plain", "default")], ids=lambda value: value
)
def test_a_pod_on_a_node_gets_a_token_of_its_account(folder: Path, name: str, account: str) -> None:
    made = payload(make(f"ns/{name}").stdout)
    assert made["sub"] == f"system:serviceaccount:ns:{account}"
    assert made["kubernetes.io"]["pod"] == {"name": name, "uid": f"u-{name}"}
    assert made["kubernetes.io"]["node"]["name"] == "n"


def test_audience_hours_and_certs_are_as_asked(folder: Path) -> None:
    made = payload(make("ns/good", "--audience=api", "--hours=0.5", "--certs=keys").stdout)
    assert made["aud"] == ["api"]
    assert made["exp"] - made["iat"] == 1_800
    assert (folder / "keys" / "token-key.pem").exists()


def test_what_flags_say_the_environment_can_say_as_the_servers_does(folder: Path) -> None:
    environment = {
        "OFFMESH_POD": "ns/good",
        "OFFMESH_MANIFESTS": "pods.yaml",
        "OFFMESH_CERTS": "keys",
        "OFFMESH_TOKEN_AUDIENCE": "api",
        "OFFMESH_TOKEN_HOURS": "2",
        "OFFMESH_TOKEN_OUT": "token",
    }
    made = run(**environment)
    assert (made.exit_code, made.stdout) == (0, "")
    claims = payload((folder / "token").read_text())
    assert (claims["aud"], claims["exp"] - claims["iat"]) == (["api"], 7_200)
    assert (folder / "keys").exists()


def test_a_file_gets_the_token_alone_for_its_owner_only_and_is_replaced_whole(folder: Path) -> None:
    out = folder / "token"
    out.write_text("an old one, longer than any token\n" * 100)
    out.chmod(0o644)
    made = make("ns/good", f"--out={out}")
    assert (made.exit_code, made.stdout) == (0, "")
    text = out.read_text()
    assert text.count(".") == 2
    assert text == text.strip()
    assert out.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["certs", "pods.yaml", "token"]


def test_a_link_to_a_file_stays_a_link(folder: Path) -> None:
    (folder / "link").symlink_to("token")
    assert make("ns/good", "--out=link").exit_code == 0
    assert (folder / "link").is_symlink()
    assert (folder / "token").read_text().count(".") == 2


REFUSED = [
    ("ns/done", "its phase is Succeeded: expected a pod that is not finished"),
    ("ns/failed", "its phase is Failed: expected a pod that is not finished"),
    ("ns/waiting", "it has no spec.nodeName: expected a pod that is bound to a node"),
    ("ns/goood", "not in the manifests; did you mean ns/good"),
    ("other/good", "not in the manifests; did you mean"),
    ("good", "expected NAMESPACE/NAME; did you mean ns/good?"),
    (
        "xxxxxxxxxxxx",
        "expected NAMESPACE/NAME; they hold ns/anonymous, ns/bound, ns/done, ns/failed, ns/good and 3",
    ),
    ("", "expected NAMESPACE/NAME; they hold"),
    ("ns/good/x", "expected NAMESPACE/NAME; did you mean ns/good"),
]


@pytest.mark.parametrize(("name", "reason"), REFUSED, ids=[name for name, _ in REFUSED])
def test_a_pod_that_can_have_no_token_exits_2_with_the_reason_and_makes_nothing(
    folder: Path, name: str, reason: str
) -> None:
    made = make(name)
    assert (made.exit_code, made.stdout) == (2, "")
    assert f"offmesh: --pod {name!r}: {reason}" in made.stderr
    assert not (folder / "certs").exists()


def test_a_pod_with_an_odd_uid_exits_2(folder: Path) -> None:
    made = make("ns/odd")
    assert (made.exit_code, made.stdout) == (2, "")
    assert "pod ns/odd: the token names no pod UID" in made.stderr


def test_a_pod_that_two_files_define_exits_2_and_names_both(folder: Path) -> None:
    (folder / "again.yaml").write_text(pod("good", "{nodeName: other}"))
    made = run("--manifests=pods.yaml", "--manifests=again.yaml", "--pod=ns/good")
    assert (made.exit_code, made.stdout) == (2, "")
    assert "offmesh: --pod 'ns/good': pods.yaml: Pod ns/good is also defined in again.yaml" in made.stderr
    assert run("--manifests=pods.yaml", "--manifests=again.yaml", "--pod=ns/bound").exit_code == 0


WRONG = [
    (["--manifests=absent", "--pod=ns/good"], "--manifests absent: no such file or folder"),
    (["--manifests=empty.yaml", "--pod=ns/good"], "--pod 'ns/good': the manifests hold no pod"),
    (["--manifests=pods.yaml"], "Missing option '--pod'"),
    (["--pod=ns/good"], "Missing option '--manifests'"),
    (["--manifests=pods.yaml", "--pod=ns/good", "--hours=0"], "Invalid value for '--hours'"),
    (
        ["--manifests=pods.yaml", "--pod=ns/good", "--hours=nan"],
        "--hours is nan: expected more than 0 and at most 8760",
    ),
    (["--manifests=pods.yaml", "--pod=ns/good", "--hours=9000"], "Invalid value for '--hours'"),
    (["--manifests=pods.yaml", "--pod=ns/good", "--audience="], "--audience is '': expected the server's"),
    (["--manifests=pods.yaml", "--pod=ns/good", "--out=."], "expected a file, or nothing there yet"),
    (["--manifests=pods.yaml", "--pod=ns/good", "--out=/dev/null"], "--out /dev/null: expected a file"),
    (
        ["--manifests=pods.yaml", "--pod=ns/good", "--out=absent/token"],
        "absent/token: No such file or directory",
    ),
    (["--manifests=pods.yaml", "--pod=ns/good", "--certs=pods.yaml"], "pods.yaml/token-key.pem: cannot be"),
]


@pytest.mark.parametrize(("arguments", "reason"), WRONG, ids=[reason for _, reason in WRONG])
def test_wrong_usage_exits_2_with_the_reason_and_no_traceback(
    folder: Path, arguments: list[str], reason: str
) -> None:
    (folder / "empty.yaml").write_text("")
    made = run(*arguments)
    assert (made.exit_code, made.stdout) == (2, "")
    assert reason in made.stderr
    assert isinstance(made.exception, SystemExit)


def test_a_broken_manifest_is_warned_of_and_the_rest_still_serves(folder: Path) -> None:
    (folder / "broken.yaml").write_text("a: [")
    made = run("--manifests=.", "--pod=ns/good")
    assert made.exit_code == 0
    assert "broken.yaml:1: its YAML is unusable" in made.stderr
