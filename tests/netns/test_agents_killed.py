"""An agent that is killed in the midst of its work: nobody is cut off, and the next one finishes it."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.lab.lab import Options
from tests.helpers.lab.namespaces import Namespace
from tests.helpers.lab.programming import cleaned
from tests.helpers.lab.run_mesh import running_mesh, wait_until
from tests.helpers.lab.snapshot import snapshot
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected, way_of
from tests.netns.cases import INBOUND, OUTBOUND
from tests.netns.cases_hosts import FROM_HOSTS
from tests.netns.conftest import Build
from tests.netns.lives import live
from xds_server.datapath.plan import NOTHING

WANTED = Wanted(pod_routes=True)
CASES = (OUTBOUND[0], OUTBOUND[2], OUTBOUND[8], INBOUND[0], FROM_HOSTS[0])

SIGNS: dict[str, Callable[[Namespace], bool]] = {
    "a sysctl is set": lambda inside: inside.sysctl("net/ipv4/conf/ens32/rp_filter") == "0",
    "a set is there": lambda inside: "ztunnel" in inside.run("ipset", "list", "-n"),
    "a table is filled": lambda inside: "proto 76" in inside.run("ip", "route", "show", "table", "all"),
    "a rule is there": lambda inside: "101:" in inside.run("ip", "rule"),
    "a chain is there": lambda inside: "ztunnel" in inside.run("iptables-nft-save"),
}


@pytest.mark.parametrize("node", ["cpu1", "dpu1"])
@pytest.mark.parametrize("sign", SIGNS)
def test_the_next_agent_finishes(build: Build, tmp_path: Path, node: str, sign: str) -> None:
    lab = build(Options(pod_routes=False))
    inside = lab.inside[node]
    with running_mesh(lab, tmp_path, WANTED) as mesh:
        mesh.agents.start(["dpu1", "cpu1", "dpu2", "cpu2"])
        mesh.wait_for_agents()
        whole = snapshot(inside)
        mesh.agents.stop(node)
        with live(lab, "p1n", "p2n") as connection:
            cleaned(lab.kernel(node), NOTHING)
            inside.set_sysctls({"net/ipv4/conf/ens32/rp_filter": 2})
            mesh.agents.start([node])
            wait_until(lambda: SIGNS[sign](inside), sign)
            mesh.agents.stop(node, signal.SIGKILL)
            mesh.agents.start([node])
            wait_until(lambda: snapshot(inside) == whole, "all is there again")
            connection.exchange(b"still there")
            connection.end()
        mesh.wait_for_agents()
        for case in CASES:
            assert way_of(lab, case) == expected(lab, case), case


def test_an_agent_that_is_killed_again_and_again_leaves_nothing_half_done(
    build: Build, tmp_path: Path
) -> None:
    """After each end, whenever it comes, packets pass: as before, or as the new program has it."""
    lab = build(Options(pod_routes=False))
    with running_mesh(lab, tmp_path, WANTED) as mesh:
        mesh.agents.start(["dpu1", "cpu1", "dpu2", "cpu2"])
        mesh.wait_for_agents()
        pod = lab.topology.pod("p1b")
        for number in range(12):
            mesh.manifests.mesh(pod, meshed=bool(number % 2))
            time.sleep(0.01 * number)
            mesh.agents.stop("cpu1", signal.SIGKILL)
            for case in (OUTBOUND[0], OUTBOUND[8], INBOUND[0]):
                assert ask(lab, case) == expected(lab, case).answer, (number, case)
            mesh.agents.start(["cpu1"])
        mesh.wait_for_agents()
        for case in CASES:
            assert way_of(lab, case) == expected(lab, case), case
