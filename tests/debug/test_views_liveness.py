"""What is told and measured of the liveness of pairs."""

import dataclasses
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.helpers.asked_views import names, tell
from tests.helpers.objects import put
from tests.helpers.served_mesh import ServedMesh
from xds_server.debug.metrics import Metrics
from xds_server.debug.views_liveness import livenessz
from xds_server.liveness.watch import Liveness
from xds_server.objects.cluster_conf import Pair


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class JudgedMesh(ServedMesh):
    """A mesh whose pairs ``cpu-a`` to ``cpu-c`` are judged at moments the test chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        for letter in "abc":
            self.place(Pair(f"192.0.2.{ord(letter)}", "192.0.2.1", f"cpu-{letter}", f"dpu-{letter}"))
        self.liveness = Liveness(self.registry, self.served.mesh.placement, self.clock)
        self.served = dataclasses.replace(self.served, liveness=self.liveness)

    def renew(self, dpu: str, renewal: str = "first") -> None:
        put(
            self.registry,
            f"{{kind: Lease, metadata: {{name: {dpu}, namespace: sys, "
            f"labels: {{offmesh.io/agent: 'true'}}}}, "
            f"spec: {{renewTime: {renewal}}}}}",
        )

    def judge(self, at: float) -> None:
        self.clock.now = at
        self.liveness.settle()


@pytest.fixture
def judged() -> JudgedMesh:
    """Pair a is up, b is held down since its agent is back, c has no agent; one agent is of no pair."""
    mesh = JudgedMesh()
    mesh.renew("dpu-a")
    mesh.renew("dpu-b")
    mesh.renew("stray")
    mesh.judge(100.0)
    mesh.clock.now = 120.0
    mesh.renew("dpu-a", "second")
    mesh.judge(145.0)
    mesh.renew("dpu-b", "second")
    mesh.judge(145.5)
    return mesh


def test_it_tells_the_verdict_on_each_pair_and_what_it_rests_on(judged: JudgedMesh) -> None:
    judged.clock.now = 146.5
    told = tell(livenessz, judged)
    assert (told["watched"], told["policy"], told["down"]) == (True, "unhealthy", 1)
    assert told["transitions"] == {"down": 1, "up": 0}
    assert told["pairs"] == [
        {
            "cpuNode": "cpu-a",
            "dpuNode": "dpu-a",
            "state": "up",
            "reasons": [],
            "forSeconds": 46.5,
            "heldForSeconds": None,
            "leaseSeconds": 40.0,
            "renewalSeenSecondsAgo": 26.5,
        },
        {
            "cpuNode": "cpu-b",
            "dpuNode": "dpu-b",
            "state": "down",
            "reasons": ["LeaseExpired"],
            "forSeconds": 1.5,
            "heldForSeconds": 1.0,
            "leaseSeconds": 40.0,
            "renewalSeenSecondsAgo": 1.5,
        },
    ]


def test_it_tells_which_pairs_are_not_judged_and_which_agents_are_of_no_pair(judged: JudgedMesh) -> None:
    told = tell(livenessz, judged)
    assert told["unjudged"] == [{"cpuNode": "cpu-c", "dpuNode": "dpu-c"}]
    assert told["strayLeases"] == ["stray"]


@pytest.mark.parametrize(
    ("node", "pairs", "unjudged", "stray"),
    [
        ("cpu-b", ["cpu-b"], [], []),
        ("dpu-a", ["cpu-a"], [], []),
        ("dpu-c", [], ["cpu-c"], []),
        ("stray", [], [], ["stray"]),
        ("unknown", [], [], []),
    ],
)
def test_its_filter_picks_what_is_told_of_a_node_in_either_role(
    judged: JudgedMesh, node: str, pairs: list[str], unjudged: list[str], stray: list[str]
) -> None:
    told = tell(livenessz, judged, node=node)
    assert names(told["pairs"], "cpuNode") == pairs
    assert (names(told["unjudged"], "cpuNode"), told["strayLeases"]) == (unjudged, stray)


def test_where_no_agents_are_watched_it_says_so_and_no_pair_is_judged(mesh: ServedMesh) -> None:
    assert tell(livenessz, mesh) == {
        "watched": False,
        "policy": "unhealthy",
        "down": 0,
        "transitions": {"down": 0, "up": 0},
        "pairs": [],
        "unjudged": [{"cpuNode": "cpu-a", "dpuNode": "dpu-a"}],
        "strayLeases": [],
    }


def test_of_pairs_that_mean_one_node_or_none_that_is_known_only_those_in_force_are_told(
    judged: JudgedMesh,
) -> None:
    judged.place(Pair("192.0.2.200", "192.0.2.201", "cpu-c", "dpu-z"))
    judged.place(Pair("192.0.2.202", "192.0.2.203"), Pair("192.0.2.204", "192.0.2.205", "cpu-d"))
    assert tell(livenessz, judged)["unjudged"] == [{"cpuNode": "cpu-c", "dpuNode": "dpu-z"}]


def scrape(mesh: ServedMesh) -> dict[str, float]:
    body, _ = Metrics(mesh.served).render("")
    samples = (sample for family in parse_text(body.decode()) for sample in family.samples)
    return {
        "/".join((one.name, *one.labels.values())): one.value for one in samples if "offmesh_pair" in one.name
    }


def test_pairs_are_measured(judged: JudgedMesh) -> None:
    assert scrape(judged) == {
        "offmesh_pairs_judged": 2,
        "offmesh_pairs_down": 1,
        "offmesh_pair_transitions_total/down": 1,
        "offmesh_pair_transitions_total/up": 0,
    }


def test_where_no_agents_are_watched_no_pair_is_measured(mesh: ServedMesh) -> None:
    assert scrape(mesh) == {}
