"""``offmesh placement``: what it prints where, and how it exits."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from xds_server.cli import main
from xds_server.sources.placement.parse import parse_placement_map

ROOT = Path(__file__).parents[2]
MAP = """\
pairs:
- {cpuNodeIP: 10.0.0.5, dpuNodeIP: 10.0.0.6}
- {cpuNodeIP: 10.0.0.1, dpuNodeIP: 10.0.0.2, cpuNodeName: cpu-a, dpuNodeName: dpu-a}
singles:
- 10.0.0.9
"""


def node(name: str, ip: str, label: str = "") -> str:
    labels = json.dumps({"offMeshNodeType": label} if label else {})
    return (
        f"apiVersion: v1\nkind: Node\nmetadata: {{name: {name}, labels: {labels}}}\n"
        f"status: {{addresses: [{{type: InternalIP, address: {ip}}}]}}\n---\n"
    )


NODES = "".join(
    [
        node("cpu-a", "10.0.0.1", "cpu"),
        node("dpu-a", "10.0.0.2", "dpu"),
        node("cpu-b", "10.0.0.5", "cpu"),
        node("dpu-b", "10.0.0.6"),
        node("plain", "10.0.0.9"),
    ]
)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["placement", *arguments])


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good map where the command looks for one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "cluster-conf.yaml"
    path.write_text(MAP)
    return path


def manifests(conf: Path, text: str) -> str:
    path = conf.with_name("nodes.yaml")
    path.write_text(text)
    return f"--manifests={path}"


def test_a_good_map_is_counted(conf: Path) -> None:
    made = run("check")
    assert (made.exit_code, made.stdout, made.stderr) == (0, "ok: 2 pairs, 1 singles\n", "")


def test_a_bad_map_exits_2_with_every_problem_on_a_line_of_its_own(conf: Path) -> None:
    conf.write_text("pairs:\n- {cpuNodeIP: 10.0.0.01, dpuNodeIP: 10.0.0.2}\nsingle: []\n")
    problems = (
        "cluster-conf.yaml:2: cpuNodeIP is '10.0.0.01': expected an address without leading zeros\n"
        "cluster-conf.yaml:3: single is an unknown key: expected singles\n"
    )
    for command in ("check", "show"):
        made = run(command)
        assert (made.exit_code, made.stdout, made.stderr) == (2, "", problems)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--cluster-conf=other.yaml"],
            "other.yaml: placement map is missing: expected a file with pairs: or singles:",
        ),
        (["--manifests=nowhere"], "--manifests nowhere: no such file or folder"),
        (["--nonsense"], "--nonsense"),
    ],
)
@pytest.mark.parametrize("command", ["check", "show"])
def test_wrong_use_exits_2_and_says_what_was_wrong(
    conf: Path, command: str, arguments: list[str], told: str
) -> None:
    made = run(command, *arguments)
    assert made.exit_code == 2
    assert told in made.stderr
    assert made.stdout == ""


def test_without_a_map_anywhere_both_places_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("check")
    assert made.exit_code == 2
    assert "neither cluster-conf.yaml nor /etc/offmesh/cluster-conf.yaml exists" in made.stderr


def test_flags_may_come_from_the_environment(conf: Path) -> None:
    elsewhere = conf.rename(conf.with_name("map.yaml"))
    nodes = conf.with_name("nodes")
    nodes.mkdir()
    (nodes / "nodes.yaml").write_text(NODES)
    made = run("show", "--format=json", OFFMESH_CLUSTER_CONF=str(elsewhere), OFFMESH_MANIFESTS=str(nodes))
    assert json.loads(made.stdout)["unresolved"] == []


def test_a_map_that_agrees_with_the_nodes_is_counted(conf: Path) -> None:
    made = run("check", manifests(conf, NODES))
    assert (made.exit_code, made.stdout, made.stderr) == (0, "ok: 2 pairs, 1 singles\n", "")


def test_nodes_in_no_role_are_told_and_no_fault(conf: Path) -> None:
    made = run("check", manifests(conf, NODES + node("spare", "10.0.0.20")))
    assert made.exit_code == 0
    assert made.stdout == "unmapped: node spare is in no role\nok: 2 pairs, 1 singles\n"


def test_an_address_without_a_node_exits_1_with_its_line(conf: Path) -> None:
    made = run("check", manifests(conf, node("cpu-b", "10.0.0.5") + node("plain", "10.0.0.9")))
    assert (made.exit_code, made.stdout) == (1, "")
    assert made.stderr == (
        "cluster-conf.yaml:2: the node at 10.0.0.6 has no name: expected a Node with this InternalIP\n"
    )


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        (
            NODES + node("spare", "10.0.0.20", "dpu"),
            "cluster-conf.yaml: node spare has label offMeshNodeType=dpu, in the map it is in no role\n",
        ),
        (
            NODES.replace("cpu-a", "cpu-z"),
            (
                "cluster-conf.yaml: the map calls the node at 10.0.0.1 cpu-a, its Node object cpu-z: "
                "the map's name is in force\n"
            ),
        ),
        (
            NODES + node("other", "10.0.0.21", "d\x1b[2Jpu"),
            "cluster-conf.yaml: node other has label offMeshNodeType=d\ufffd[2Jpu: expected cpu or dpu\n",
        ),
    ],
    ids=["a label", "a name", "a label that would clear the screen"],
)
def test_a_disagreement_with_the_nodes_exits_1_and_is_told(conf: Path, nodes: str, told: str) -> None:
    made = run("check", manifests(conf, nodes))
    assert made.exit_code == 1
    assert told in made.stderr
    assert "ok:" not in made.stdout


def test_json_is_sorted_and_complete(conf: Path) -> None:
    made = run("show", "--format=json", manifests(conf, NODES + node("spare", "10.0.0.20", "cpu")))
    assert made.exit_code == 0
    told = json.loads(made.stdout)
    assert made.stdout == json.dumps(told, indent=2, sort_keys=True) + "\n"
    assert told == {
        "pairs": [
            {
                "cpuNodeIP": "10.0.0.1",
                "cpuNodeName": "cpu-a",
                "dpuNodeIP": "10.0.0.2",
                "dpuNodeName": "dpu-a",
            },
            {
                "cpuNodeIP": "10.0.0.5",
                "cpuNodeName": "cpu-b",
                "dpuNodeIP": "10.0.0.6",
                "dpuNodeName": "dpu-b",
            },
        ],
        "singles": [{"nodeIP": "10.0.0.9", "nodeName": "plain"}],
        "unmapped": ["spare"],
        "unresolved": [],
        "conflicts": ["node spare has label offMeshNodeType=cpu, in the map it is in no role"],
    }


def test_tables_have_a_row_for_each_entry_and_a_dash_for_a_name_not_known(conf: Path) -> None:
    made = run("show")
    assert made.exit_code == 0
    assert [line.split() for line in made.stdout.splitlines()] == [
        ["CPU", "NODE", "CPU", "NODE", "IP", "DPU", "NODE", "DPU", "NODE", "IP"],
        ["cpu-a", "10.0.0.1", "dpu-a", "10.0.0.2"],
        ["-", "10.0.0.5", "-", "10.0.0.6"],
        ["SINGLE", "NODE", "SINGLE", "NODE", "IP"],
        ["-", "10.0.0.9"],
    ]


def test_tables_end_with_what_does_not_agree_with_the_nodes(conf: Path) -> None:
    nodes = node("cpu-b", "10.0.0.5", "dpu") + node("spare", "10.0.0.20") + node("plain", "10.0.0.9")
    assert run("show", manifests(conf, nodes)).stdout.partition("conflicts")[2].splitlines() == [
        " (1):",
        "  node cpu-b has label offMeshNodeType=dpu, in the map it is cpu",
        "unresolved (1):",
        "  10.0.0.6",
        "unmapped (1):",
        "  spare",
    ]


def test_the_sample_map_is_valid() -> None:
    sample = (ROOT / "cluster-conf.yaml").read_bytes()
    placement = parse_placement_map(sample, "cluster-conf.yaml")
    assert (len(placement.pairs), len(placement.singles)) == (2, 2)
