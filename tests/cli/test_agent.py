"""``offmesh agent``: its flags, what is wrong with them, and how it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.agent.control_plane import control_plane
from tests.helpers.offmesh import ROOT
from tests.helpers.scratch_node import needs_root, scratch_node
from xds_server.agent import kept
from xds_server.agent.settings import AgentSettings, OnExit
from xds_server.cli import agent as module
from xds_server.cli import main
from xds_server.datapath.inputs import WithoutZtunnel
from xds_server.datapath.kernel import Backend

NODE = "--node=dpu-a"


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, ["agent", *arguments], env=environment)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> "list[AgentSettings]":
    """What the command would run an agent with."""
    seen: list[AgentSettings] = []

    async def note(settings: AgentSettings) -> None:
        seen.append(settings)

    monkeypatch.setattr(module, "_run", note)
    return seen


def parsed(settings: "list[AgentSettings]", *arguments: str, **environment: str) -> AgentSettings:
    made = run(*arguments, **environment)
    assert made.exit_code == 0, made.output
    return settings[-1]


def test_without_flags_an_agent_is_as_in_its_pod(settings: "list[AgentSettings]") -> None:
    found = parsed(settings, NODE)
    assert found.node == "dpu-a"
    assert found.discovery.address == "offmesh.istio-system.svc:15012"
    assert not found.discovery.insecure
    assert found.state_dir == Path("/var/lib/offmesh")
    assert found.on_exit is OnExit.KEEP
    assert found.kernel.netns == ""
    assert found.kernel.backend is None
    assert found.kernel.when_ztunnel_is_gone is WithoutZtunnel.PLAIN
    assert (found.kernel.pod_routes, found.kernel.ztunnel_netns) == (True, True)
    assert (found.lease.namespace, found.lease.duration_seconds) == ("", 40)


FLAGS: list[tuple[str, str, str, Any]] = [
    ("--discovery-address", "[::1]:15010", "discovery.address", "[::1]:15010"),
    ("--root-cert", "/a/root.pem", "discovery.root_cert", Path("/a/root.pem")),
    ("--token", "/a/token", "discovery.token", Path("/a/token")),
    ("--server-name", "offmesh.example", "discovery.server_name", "offmesh.example"),
    ("--state-dir", "/a/state", "state_dir", Path("/a/state")),
    ("--on-exit", "remove", "on_exit", OnExit.REMOVE),
    ("--when-ztunnel-is-gone", "block", "kernel.when_ztunnel_is_gone", WithoutZtunnel.BLOCK),
    ("--backend", "legacy", "kernel.backend", Backend.LEGACY),
    ("--netns", "node-1", "kernel.netns", "node-1"),
    ("--lease-namespace", "mesh", "lease.namespace", "mesh"),
    ("--lease-seconds", "90", "lease.duration_seconds", 90),
]
SWITCHES = [
    ("--insecure", "discovery.insecure", True),
    ("--no-insecure", "discovery.insecure", False),
    ("--no-pod-routes", "kernel.pod_routes", False),
    ("--no-ztunnel-netns", "kernel.ztunnel_netns", False),
]


def value_of(settings: AgentSettings, path: str) -> Any:
    found: Any = settings
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize(("flag", "text", "path", "expected"), FLAGS)
def test_each_flag_is_heeded_and_so_is_its_variable(
    flag: str, text: str, path: str, expected: Any, settings: "list[AgentSettings]"
) -> None:
    variable = f"OFFMESH_{flag.removeprefix('--').upper().replace('-', '_')}"
    assert value_of(parsed(settings, NODE, f"{flag}={text}"), path) == expected
    assert value_of(parsed(settings, NODE, **{variable: text}), path) == expected


@pytest.mark.parametrize(("flag", "path", "expected"), SWITCHES)
def test_each_switch_is_heeded(
    flag: str, path: str, expected: object, settings: "list[AgentSettings]"
) -> None:
    assert value_of(parsed(settings, NODE, flag), path) == expected


@pytest.mark.parametrize("variable", ["OFFMESH_NODE", "NODE_NAME"])
def test_the_node_may_be_told_by_the_pods_environment(variable: str, settings: "list[AgentSettings]") -> None:
    assert parsed(settings, **{variable: "cpu-b"}).node == "cpu-b"


def test_names_that_are_not_the_originals_are_read_from_a_file(
    settings: "list[AgentSettings]", tmp_path: Path
) -> None:
    (tmp_path / "names.yaml").write_text("names: {outbound_table: 1101, inbound_link: in0}\n")
    names = parsed(settings, NODE, f"--names={tmp_path / 'names.yaml'}").kernel.names
    assert (names.outbound_table, names.inbound_link, names.proxy_table) == (1101, "in0", 102)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "'--node'"),
        ((NODE, "--discovery-address=nonsense"), "--discovery-address nonsense: expected HOST:PORT"),
        ((NODE, "--discovery-address=a:99999"), "--discovery-address a:99999: expected HOST:PORT"),
        ((NODE, "--on-exit=forget"), "(env var: 'OFFMESH_ON_EXIT'): 'forget' is not one of 'keep', 'remove'"),
        ((NODE, "--when-ztunnel-is-gone=panic"), "'--when-ztunnel-is-gone'"),
        ((NODE, "--backend=ebpf"), "(env var: 'OFFMESH_BACKEND'): 'ebpf' is not one of 'nft', 'legacy'"),
        ((NODE, "--lease-seconds=4"), "(env var: 'OFFMESH_LEASE_SECONDS'): 4 is not in the range x>=5"),
        (
            (NODE, "--state-dir=/etc/hostname"),
            "(env var: 'OFFMESH_STATE_DIR'): Directory '/etc/hostname' is a file",
        ),
        ((NODE, "--names=/nowhere.yaml"), "--names /nowhere.yaml: "),
        ((NODE, "--nonsense"), "--nonsense"),
    ],
)
def test_wrong_use_exits_2_and_names_the_flag(
    arguments: tuple[str, ...], expected: str, settings: "list[AgentSettings]"
) -> None:
    made = run(*arguments)
    assert made.exit_code == 2, made.output
    assert expected in made.output
    assert not settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("names: {outbound_table: no}", "names.outbound_table"),
        ("names: {outbund_table: 7}", "outbund_table"),
        ("names: {outbound_table: 254}", "outbound_table is 254"),
        ("names: [", "syntax"),
    ],
)
def test_names_that_are_none_exit_2_with_the_file_and_the_key(
    text: str, expected: str, settings: "list[AgentSettings]", tmp_path: Path
) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(text)
    made = run(NODE, f"--names={path}")
    assert made.exit_code == 2, made.output
    assert str(path) in made.output
    assert expected in made.output
    assert not settings


def test_help_explains_each_flag_with_default_and_variable() -> None:
    text = " ".join(run("--help").output.split())
    for flag, *_ in FLAGS:
        assert flag in text
        assert f"OFFMESH_{flag.removeprefix('--').upper().replace('-', '_')}" in text
    assert "/var/lib/offmesh" in text


def test_a_second_agent_with_one_folder_exits_1(tmp_path: Path) -> None:
    with kept.alone(tmp_path):
        made = run(NODE, "--insecure", f"--state-dir={tmp_path}")
    assert made.exit_code == 1
    assert f"offmesh: --state-dir {tmp_path}: another agent of this node is running" in made.output


@needs_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_agent_that_is_told_to_end_ends_well(number: signal.Signals, tmp_path: Path) -> None:
    with scratch_node() as node:
        async with control_plane() as plane:
            flags = [NODE, "--insecure", f"--discovery-address={plane.address}", f"--netns={node.name}"]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "xds_server", "agent", *flags, f"--state-dir={tmp_path}"),
                cwd=ROOT,
                env=os.environ,
                stderr=subprocess.PIPE,
            )
            try:
                await (await plane.stream()).begun()
                process.send_signal(number)
                _, told = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
            assert process.returncode == 0, told
            assert b"stopped; what the kernel holds stays" in told
            assert b"Traceback" not in told


@pytest.mark.parametrize("flag", ["--node", "--lease-namespace"])
@pytest.mark.parametrize("name", ["a/../b", "Upper", "-a", "ä", "a" * 254])
def test_a_name_that_is_none_is_refused(flag: str, name: str) -> None:
    refused = run(NODE, f"{flag}={name}")
    assert refused.exit_code == 2
    assert f"{flag} is {name!r}: expected lower case letters" in refused.output
