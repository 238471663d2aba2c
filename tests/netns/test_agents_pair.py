"""A CPU node is paired with another DPU node by an edit of the map, while its pods go on talking."""

from pathlib import Path

import pytest

from tests.helpers.lab.lab import Options
from tests.helpers.lab.run_mesh import running_mesh, wait_until
from tests.helpers.lab.snapshot import ours, snapshot
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected, way_of
from tests.netns.cases import INBOUND, OUTBOUND
from tests.netns.conftest import Build
from tests.netns.test_pair_change import AFTER, BEFORE, by_the_new

REMOTE, WORLD, PLAIN_FAR = OUTBOUND[0], OUTBOUND[8], INBOUND[0]
OLD = Wanted(topology=BEFORE, pod_routes=True, ztunnels=frozenset({"zt1", "zt2", "zt3", "zt4"}))
NEW = Wanted(topology=AFTER, pod_routes=True, ztunnels=OLD.ztunnels)
NODES = ("dpu1", "dpu3", "cpu1", "dpu2", "cpu2", "one")


@pytest.mark.parametrize("flavour", ["v1", "v2"])
def test_the_pair_moves_while_its_pods_go_on(build: Build, tmp_path: Path, flavour: str) -> None:
    lab = build(Options(pod_routes=False, flavour=flavour), BEFORE)
    with running_mesh(lab, tmp_path, OLD) as mesh:
        mesh.agents.start(NODES)
        mesh.wait_for_agents()
        for case in (REMOTE, WORLD, PLAIN_FAR):
            assert way_of(lab, case) == expected(lab, case), case

        for proxy in lab.proxies.values():
            proxy.learn(NEW)
        mesh.manifests.pair(AFTER)
        wait_until(lambda: _is_by(mesh.lab.inside["cpu1"].run("ip", "route", "show", "table", "101")), "dpu3")
        assert ask(lab, WORLD) == expected(lab, by_the_new(WORLD)).answer
        mesh.wait_for_agents()
        for case in (REMOTE, WORLD, PLAIN_FAR):
            assert way_of(lab, by_the_new(case)) == expected(lab, by_the_new(case)), case
        assert "uid-of-p1a" not in "".join(ours(snapshot(lab.inside["dpu1"])))
        assert "going on" not in mesh.agents.told("cpu1")


def _is_by(routes: str) -> bool:
    return "192.168.50.150" in routes
