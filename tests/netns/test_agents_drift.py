"""What is lost of a node's datapath is back without anybody asking, and reported."""

from collections.abc import Iterator

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.programming import planned
from tests.helpers.lab.run_mesh import RunningMesh, running_mesh, wait_until
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected
from tests.netns.cases import OUTBOUND
from tests.netns.test_drift import CPU_DRIFTS, DPU_DRIFTS, cause

WANTED = Wanted(pod_routes=True)
REMOTE = OUTBOUND[0]
NODES = ("dpu1", "cpu1", "dpu2", "cpu2")


@pytest.fixture(scope="session")
def mesh(shared: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(shared, tmp_path_factory.mktemp("mesh"), WANTED) as made:
        made.agents.start(NODES)
        made.wait_for_agents()
        yield made


def untouched(_lab: Lab) -> None:
    """Leave it to the agents."""


@pytest.mark.parametrize(
    "shared",
    [
        pytest.param(
            (Options(backend=backend, pod_routes=False), untouched),
            id=backend,
            marks=pytest.mark.xdist_group(f"agents drift {backend}"),
        )
        for backend in ("nft", "legacy")
    ],
    indirect=True,
    scope="session",
)
@pytest.mark.parametrize(
    ("node", "drift"),
    [
        *(pytest.param("cpu1", drift, id=drift) for drift in CPU_DRIFTS.values()),
        *(pytest.param("dpu1", drift, id=drift) for drift in DPU_DRIFTS.values()),
    ],
)
def test_drift_is_mended_and_reported(mesh: RunningMesh, node: str, drift: str) -> None:
    kernel, program = mesh.lab.kernel(node), WANTED.program(mesh.lab.topology.node(node))
    reported = mesh.agents.told(node).count("repaired: ")
    cause(mesh.lab, node, drift)
    wait_until(lambda: mesh.agents.told(node).count("repaired: ") > reported, "a report")
    wait_until(lambda: not planned(kernel, program).steps, "the whole program")
    assert ask(mesh.lab, REMOTE) == expected(mesh.lab, REMOTE).answer
    assert mesh.is_synced(node)
