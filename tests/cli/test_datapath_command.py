"""``offmesh datapath`` on a node of its own: what it does to the kernel, what it prints, and how it exits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.helpers.scratch_node import ScratchNode, add_things_of_others, needs_root, scratch_node
from xds_server.cli import main

NODE = """\
role: dpu
address: 192.168.50.131
peer: 192.168.50.130
uplink: ens32
pod_cidr: 10.244.1.0/24
ztunnel: {address: 10.244.1.2, device: veth1ae58883}
pods:
- {address: 10.244.0.2, uid: uid-2}
- {address: 10.244.0.7, uid: uid-7}
ranges:
- {cidr: 10.244.0.0/24, node: 192.168.50.130, dpu: 192.168.50.131}
names: {tunnel_type: vxlan}
"""
TUNNEL = "remote 10.244.1.2 dstport 6081"
BACKENDS = ("nft", "legacy")
HELD = "ok: the kernel holds dpu_node\n"


@pytest.fixture
def bare_node() -> Iterator[ScratchNode]:
    with scratch_node() as node:
        yield node


@pytest.fixture
def node(bare_node: ScratchNode) -> ScratchNode:
    add_things_of_others(bare_node, "nft")
    return bare_node


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(NODE)
    return path


def beside(file: Path, text: str) -> Path:
    """Return another file beside one."""
    other = file.with_name("other.yaml")
    other.write_text(text)
    return other


def datapath(command: str, *arguments: str | Path) -> Result:
    made = CliRunner().invoke(main, ["datapath", command, *map(str, arguments)])
    assert made.exception is None or isinstance(made.exception, SystemExit), made.exc_info
    return made


def on(node: ScratchNode, command: str, *arguments: str | Path) -> Result:
    return datapath(command, "--netns", node.name, *arguments)


@needs_root
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_node_is_planned_programmed_checked_and_cleaned(
    bare_node: ScratchNode, file: Path, backend: str
) -> None:
    node = bare_node
    add_things_of_others(node, backend)
    where = ("--backend", backend, "--file", file)
    everything, others = node.everything(backend), node.others(backend)

    planned = on(node, "plan", *where)
    assert planned.exit_code == 0
    assert f"\niptables-{backend}-restore -w 5 --noflush <<'EOF'\n" in planned.stdout
    changes = planned.stdout.partition("\n\n# commands\n")[0]
    drifted = on(node, "check", *where)
    assert (drifted.exit_code, drifted.stdout, drifted.stderr) == (1, f"{changes}\n", "")
    assert node.everything(backend) == everything

    applied = on(node, "apply", *where)
    assert (applied.exit_code, applied.stderr) == (0, "")
    assert applied.stdout.partition("done in ")[0] == f"{changes}\n"
    assert on(node, "check", *where).stdout == HELD
    again = on(node, "apply", *where)
    assert (again.exit_code, again.stdout) == (0, "nothing to do: the kernel holds dpu_node\n")

    # Where ours is, tells which backend it is.
    cleaned = on(node, "clean")
    assert (cleaned.exit_code, cleaned.stderr) == (0, "")
    assert "  - default via 192.168.127.2 dev istioout table 101 proto 76\n" in cleaned.stdout
    assert on(node, "clean").stdout == "nothing to do: the kernel holds nothing\n"
    assert "ztunnel-" not in node.everything(backend)
    assert node.others(backend) == others


DRIFTS = [
    (("ip", "rule", "del", "priority", "101"), "  + priority 101 fwmark 0x100/0x100 lookup 101 protocol 76"),
    (
        ("ip", "route", "del", "default", "table", "101"),
        "  + default via 192.168.127.2 dev istioout table 101 proto 76",
    ),
    (
        ("ip", "route", "replace", "blackhole", "default", "table", "102", "proto", "76"),
        "    (is blackhole default table 102 proto 76)",
    ),
    (("ipset", "del", "ztunnel-pods-ips", "10.244.0.2"), "  + ztunnel-pods-ips 10.244.0.2 uid-2"),
    (("ipset", "add", "ztunnel-pods-ips", "10.244.0.9"), "  - ztunnel-pods-ips 10.244.0.9"),
    (
        ("iptables-nft", "-t", "mangle", "-D", "PREROUTING", "1"),
        "  + mangle PREROUTING to ztunnel-PREROUTING at 1",
    ),
    (
        ("iptables-nft", "-t", "mangle", "-A", "PREROUTING", "-j", "ztunnel-PREROUTING"),
        "  ~ mangle PREROUTING to ztunnel-PREROUTING at 1 (is 1, 3)",
    ),
    (
        ("iptables-nft", "-t", "nat", "-F", "ztunnel-PREROUTING"),
        "      + -m mark --mark 0x100/0x100 -j ACCEPT",
    ),
    (
        ("iptables-nft", "-t", "mangle", "-I", "ztunnel-INPUT", "1", "-m", "comment", "--comment", 'a "b" c'),
        '      - -m comment --comment "a \\"b\\" c"',
    ),
    (
        ("sysctl", "-qw", "net/ipv4/conf/istioin/accept_local=0"),
        "  ~ net/ipv4/conf/istioin/accept_local = 1 (is 0)",
    ),
    (
        ("ip", "link", "del", "istioin"),
        f"  + istioin type vxlan id 1000 {TUNNEL} address 192.168.126.1/30 mtu 1450",
    ),
    (
        ("ip", "link", "set", "istioout", "mtu", "1300"),
        f"    (is istioout type vxlan id 1001 {TUNNEL} address 192.168.127.1/30 mtu 1300)",
    ),
    (
        ("ipset", "create", "ztunnel-pods-ips-new", "hash:ip", "comment"),
        "  - ztunnel-pods-ips-new hash:ip family inet",
    ),
]


@needs_root
def test_each_kind_of_drift_is_named_and_mended(node: ScratchNode, file: Path) -> None:
    others = node.others("nft")
    assert on(node, "apply", "--backend", "nft", "--file", file).exit_code == 0
    for command, told in DRIFTS:
        node.run(*command)
        found = on(node, "check", "--file", file)
        assert (found.exit_code, found.stderr) == (1, "")
        assert told in found.stdout.splitlines()
        assert on(node, "apply", "--file", file).exit_code == 0
        assert on(node, "check", "--file", file).stdout == HELD
        assert node.others("nft") == others


@needs_root
def test_a_step_that_fails_is_named_and_all_is_put_back(node: ScratchNode, file: Path) -> None:
    assert on(node, "apply", "--backend", "nft", "--file", file).exit_code == 0
    moved = beside(file, NODE.replace("10.244.1.0/24", "10.244.8.0/24").replace("10.244.1.2,", "10.244.8.2,"))
    # The pods' gateway is no address of the node: when much is done, the kernel refuses it as a source.
    failed = on(node, "apply", "--file", moved)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "ip route replace 10.244.0.2/32 via 192.168.126.2" in failed.stderr
    assert failed.stderr.endswith("; all is put back as it was\n")
    assert on(node, "check", "--file", file).stdout == HELD


@needs_root
def test_what_others_have_in_the_place_of_ours_is_named_and_nothing_is_done(
    node: ScratchNode, file: Path
) -> None:
    node.ip("rule add priority 101 fwmark 0x1 lookup 200")
    before = node.everything("nft")
    refused = on(node, "apply", "--file", file)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith(
        "offmesh: nothing is done, for others are in the way: rule priority 101 "
    )
    for command, code in (("plan", 0), ("check", 1)):
        told = on(node, command, "--file", file)
        assert told.exit_code == code
        assert told.stdout.startswith("in the way (1)\n  ! rule priority 101 ")
    assert node.everything("nft") == before


@needs_root
def test_a_node_without_a_device_is_told_which(node: ScratchNode, file: Path) -> None:
    file.write_text(NODE.replace("veth1ae58883", "veth404"))
    failed = on(node, "apply", "--file", file)
    assert failed.exit_code == 1
    assert "veth404" in failed.stderr


@needs_root
def test_one_backend_is_not_mixed_with_the_other(bare_node: ScratchNode, file: Path) -> None:
    node = bare_node
    assert on(node, "apply", "--backend", "legacy", "--file", file).exit_code == 0
    refused = on(node, "apply", "--backend", "nft", "--file", file)
    assert refused.exit_code == 1
    assert "offmesh datapath clean --backend legacy" in refused.stderr


@needs_root
def test_programs_that_are_named_together_are_held_together(node: ScratchNode, file: Path) -> None:
    both = ("--program", "dpu_node", "--program", "pod_routes", "--file", file)
    assert on(node, "apply", *both).exit_code == 0
    assert on(node, "check", *both).stdout == "ok: the kernel holds dpu_node+pod_routes\n"
    alone = on(node, "plan", "--file", file).stdout
    route = "10.244.0.0/24 via 192.168.50.130 dev ens32 table 254 proto 76"
    assert alone == f"routes (1)\n  - {route}\n\n# commands\nip route delete {route}\n"


@needs_root
def test_a_node_with_other_names_is_cleaned_by_its_file(node: ScratchNode, file: Path) -> None:
    others = node.others("nft")
    file.write_text(NODE.replace("{tunnel_type", "{chain_prefix: mesh-, pods_set: mesh-pods, tunnel_type"))
    assert on(node, "apply", "--backend", "nft", "--file", file).exit_code == 0
    assert "-A PREROUTING -j mesh-PREROUTING" in node.saved("nft")
    assert on(node, "clean", "--file", file).exit_code == 0
    assert node.others("nft") == others


@needs_root
def test_as_json_all_is_told(node: ScratchNode, file: Path) -> None:
    asked = ("--backend", "nft", "--format", "json", "--file", file)
    planned = json.loads(on(node, "plan", *asked).stdout)
    assert (planned["program"], planned["converged"], planned["clashes"]) == ("dpu_node", False, [])
    assert {change["kind"] for change in planned["changes"]} >= {"sysctl", "set", "link", "route", "chain"}
    done = json.loads(on(node, "apply", *asked).stdout)
    assert done["steps"] == planned["steps"]
    held = on(node, "check", *asked)
    assert (held.exit_code, json.loads(held.stdout)["converged"]) == (0, True)


@needs_root
def test_a_namespace_that_is_not_there_is_named(file: Path) -> None:
    failed = datapath("plan", "--netns", "no-such-node", "--file", file)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert "no-such-node" in failed.stderr


@pytest.mark.parametrize("command", ["plan", "apply", "check"])
@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        (None, [], "No such file or directory"),
        ("role: [", [], "node.yaml:"),
        ("role: dpu", [], "node.yaml: pod_cidr is missing"),
        (NODE, ["--program", "nonsense"], "nonsense"),
        (NODE, ["--program", "cpu_node"], "role is dpu: expected cpu"),
        (NODE, ["--program", "dpu_node", "--program", "dpu_node_original"], "dpu_node+dpu_node_original"),
        (NODE, ["--backend", "ebtables"], "ebtables"),
        ("\udcff", [], "expected a text in UTF-8"),
    ],
)
def test_wrong_use_exits_2_and_says_what_was_wrong(
    tmp_path: Path, command: str, text: str | None, arguments: list[str], told: str
) -> None:
    path = tmp_path / "node.yaml"
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    made = datapath(command, "--file", path, *arguments)
    assert (made.exit_code, made.stdout) == (2, "")
    assert told in made.stderr
    assert "Traceback" not in made.stderr


def test_a_node_file_is_needed_for_all_but_cleaning() -> None:
    made = datapath("plan")
    assert made.exit_code == 2
    assert "--file" in made.stderr
