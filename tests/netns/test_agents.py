"""
Everything real but ztunnel: a server with manifests, and the agent of each node.

The agents program all there is, the namespaces of ztunnels too.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.run_mesh import RunningMesh, running_mesh, start_proxy, wait_until
from tests.helpers.lab.snapshot import others, ours, snapshot, sysctls
from tests.helpers.lab.traffic import NOBODY, SHORT_PATIENCE
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected, way_of
from tests.netns.cases import INBOUND, OUTBOUND, Case
from tests.netns.cases_hosts import FROM_HOSTS
from tests.netns.conftest import Build
from tests.netns.lives import live

REMOTE, LOCAL, SERVICE, WORLD = OUTBOUND[0], OUTBOUND[3], OUTBOUND[2], OUTBOUND[8]
PLAIN_FAR, PLAIN_NEAR, PROBE = INBOUND[0], INBOUND[1], FROM_HOSTS[0]
CASES = (REMOTE, SERVICE, LOCAL, WORLD, PLAIN_FAR, PLAIN_NEAR, PROBE)
WANTED = Wanted(pod_routes=True)
PAIR = ("dpu1", "cpu1")
ALL = ("dpu1", "cpu1", "dpu2", "cpu2", "one")

Start = Callable[..., RunningMesh]


@pytest.fixture
def start(build: Build, tmp_path: Path) -> Iterator[Start]:
    """Starts a server and no agent."""
    with ExitStack() as held:

        def started(*flags: str, backend: str = "nft", flavour: str = "v2") -> RunningMesh:
            lab = build(Options(backend=backend, flavour=flavour, pod_routes=False))
            return held.enter_context(running_mesh(lab, tmp_path, WANTED, *flags))

        yield started


@pytest.fixture
def mesh(start: Start) -> RunningMesh:
    made = start()
    made.agents.start(ALL)
    made.wait_for_agents()
    return made


def passes(lab: Lab, *cases: Case) -> None:
    for case in cases:
        assert way_of(lab, case) == expected(lab, case), case


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("flavour", ["v1", "v2"])
def test_packets_go_the_ways_that_agents_make(start: Start, backend: str, flavour: str) -> None:
    mesh = start(backend=backend, flavour=flavour)
    mesh.agents.start(ALL)
    mesh.wait_for_agents()
    passes(mesh.lab, *CASES)


def test_a_label_redirects_the_next_connection_of_its_pod(mesh: RunningMesh) -> None:
    pod = mesh.lab.topology.pod("p1n")
    with live(mesh.lab, "p1n", "203.0.113.10") as opened_before:
        mesh.manifests.mesh(pod, meshed=True)
        wait_until(lambda: all("uid-of-p1n" in _set(mesh, node) for node in PAIR), "p1n is a member")
        way = way_of(mesh.lab, replace(WORLD, client="p1n"))
        assert (way.answer.server, way.proxies) == ("ext", ("zt1 passthrough",))
        opened_before.exchange(b"still there")
        opened_before.end()
    mesh.wait_for_agents()
    mesh.manifests.mesh(pod, meshed=False)
    wait_until(lambda: not any("uid-of-p1n" in _set(mesh, node) for node in PAIR), "p1n is none")
    mesh.wait_for_agents()
    assert way_of(mesh.lab, replace(WORLD, client="p1n")).proxies == ()


def test_a_cpu_node_waits_for_its_dpu_node(start: Start) -> None:
    mesh = start()
    mesh.agents.start(["cpu1"])
    wait_until(lambda: "waiting for" in mesh.agents.told("cpu1"), "the agent of cpu1 waits")
    assert "ztunnel" not in mesh.lab.inside["cpu1"].run("iptables-nft-save")
    mesh.agents.start(["dpu1"])
    mesh.wait_for_agents()
    assert "going on" not in mesh.agents.told("cpu1")
    passes(mesh.lab, LOCAL, WORLD)


def test_agents_are_not_needed_by_packets(mesh: RunningMesh) -> None:
    before = {node: snapshot(mesh.lab.inside[node]) for node in ALL}
    for node in ALL:
        assert mesh.agents.stop(node) == 0
    passes(mesh.lab, *CASES)
    assert {node: snapshot(mesh.lab.inside[node]) for node in ALL} == before


def test_what_an_agent_made_is_gone_when_that_is_wanted(start: Start) -> None:
    mesh = start()
    untouched = {node: snapshot(mesh.lab.inside[node]) for node in PAIR}
    mesh.agents.start(PAIR, "--on-exit=remove")
    mesh.wait_for_agents()
    for node in ("cpu1", "dpu1"):
        assert mesh.agents.stop(node) == 0
        left = snapshot(mesh.lab.inside[node])
        assert (ours(left), others(left)) == ((), others(untouched[node]))


def test_without_a_control_plane_an_agent_repairs_what_it_has(mesh: RunningMesh) -> None:
    mesh.agents.stop("cpu1", signal.SIGKILL)
    before = snapshot(mesh.lab.inside["cpu1"])
    mesh.server.stop()
    mesh.lab.inside["cpu1"].run("ipset", "flush", "ztunnel-pods-ips")
    mesh.lab.inside["cpu1"].run("ip", "rule", "delete", "priority", "101")
    mesh.agents.start(["cpu1"])
    wait_until(lambda: snapshot(mesh.lab.inside["cpu1"]) == before, "what was held is repaired")
    mesh.lab.inside["dpu1"].run("ip", "link", "delete", "istioin")
    wait_until(lambda: "istioin" in mesh.agents.told("dpu1").rpartition("repaired")[2], "dpu1 repairs")
    passes(mesh.lab, *CASES)


def test_an_agent_that_was_told_nothing_writes_nothing(start: Start) -> None:
    mesh = start()
    untouched = {node: (snapshot(mesh.lab.inside[node]), sysctls(mesh.lab.inside[node])) for node in PAIR}
    mesh.server.stop()
    mesh.agents.start(PAIR)
    for node in PAIR:
        wait_until(lambda node=node: "asked again" in mesh.agents.told(node), "nobody answers")  # type: ignore[misc]
        assert (snapshot(mesh.lab.inside[node]), sysctls(mesh.lab.inside[node])) == untouched[node]
        assert mesh.agents.stop(node) == 0


@pytest.mark.parametrize("policy", ["plain", "block"])
def test_a_ztunnel_that_ends_and_comes_back(start: Start, policy: str) -> None:
    mesh = start()
    mesh.agents.start(ALL, f"--when-ztunnel-is-gone={policy}")
    mesh.wait_for_agents()
    ztunnel = mesh.lab.topology.pod("zt1")
    mesh.lab.stop_ztunnel("zt1")
    mesh.manifests.run_ztunnel(ztunnel, ready=False)
    wait_until(lambda: all("101" not in _rules(mesh, node) for node in PAIR), "nothing is redirected")
    mesh.wait_for_agents()
    if policy == "block":
        assert ask(mesh.lab, WORLD, SHORT_PATIENCE) == ask(mesh.lab, PLAIN_FAR, SHORT_PATIENCE) == NOBODY
    else:
        for case in (WORLD, PLAIN_FAR):
            way = way_of(mesh.lab, case)
            assert (way.answer.server, way.proxies) == (case.server, ())
    assert ask(mesh.lab, PROBE) == expected(mesh.lab, PROBE).answer
    start_proxy(mesh.lab, "zt1", WANTED)
    mesh.manifests.run_ztunnel(ztunnel)
    wait_until(lambda: all("101" in _rules(mesh, node) for node in PAIR), "it is redirected again")
    mesh.wait_for_agents()
    passes(mesh.lab, *CASES)


def test_what_is_in_the_way_is_told_and_goes_on_when_it_is_gone(start: Start) -> None:
    mesh = start()
    inside = mesh.lab.inside["dpu1"]
    inside.ip(("rule add priority 101 fwmark 0x1/0x1 lookup 77",))
    before = snapshot(inside)
    mesh.agents.start(["dpu1"])
    wait_until(lambda: _rejection(mesh, "dpu1") != "", "dpu1 says why it cannot")
    assert "101" in _rejection(mesh, "dpu1")
    assert snapshot(inside) == before
    inside.ip(("rule delete priority 101",))
    mesh.wait_for_agents("dpu1")
    mesh.agents.start(["cpu1"])
    mesh.wait_for_agents("cpu1")
    passes(mesh.lab, LOCAL, WORLD)


def test_an_address_that_is_anothers_by_now_stays_a_member(mesh: RunningMesh) -> None:
    old = mesh.lab.topology.pod("p1b")
    new = replace(old, name="p1c")
    with live(mesh.lab, "p1b", "203.0.113.10") as connection:
        mesh.manifests.mesh(new, meshed=True)
        mesh.manifests.remove(old)
        wait_until(lambda: all("uid-of-p1c" in _set(mesh, node) for node in PAIR), "the new pod's UID")
        connection.exchange(b"still there")
        connection.end()


def _set(mesh: RunningMesh, node: str) -> str:
    return mesh.lab.inside[node].run("ipset", "save", "ztunnel-pods-ips")


def _rules(mesh: RunningMesh, node: str) -> str:
    return mesh.lab.inside[node].run("ip", "rule")


def _rejection(mesh: RunningMesh, node: str) -> str:
    return str(mesh.client(node).get("NodeProgram", {}).get("rejection", ""))
