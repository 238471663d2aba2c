"""What is read of Nodes and Leases, and what is written about pairs."""

from datetime import UTC, datetime
from typing import cast

import pytest

from tests.helpers.objects import objects
from tests.liveness.watched_pairs import lease, node
from xds_server.liveness.conditions import Told, event_of, found_on, is_ready, told_of
from xds_server.liveness.damping import Reason
from xds_server.liveness.leases import node_of, seconds_of
from xds_server.liveness.verdicts import PairVerdict
from xds_server.objects.kubernetes import Lease, Node


def read_node(text: str) -> Node:
    return cast(Node, objects(text)[0][1])


def read_lease(text: str) -> Lease:
    return cast(Lease, objects(text)[0][1])


@pytest.mark.parametrize(
    ("says", "ready"), [("True", True), ("False", False), ("Unknown", False), ("", True)]
)
def test_a_node_is_ready_unless_it_says_it_is_not(says: str, ready: bool) -> None:
    assert is_ready(read_node(node("cpu-a", says))) is ready
    assert is_ready(None)


@pytest.mark.parametrize(("label", "nodes"), [("true", ("dpu",)), ("false", ()), ("", ())])
def test_a_lease_is_that_of_the_node_it_is_named_after_if_an_agent_says_so(
    label: str, nodes: tuple[str, ...]
) -> None:
    assert node_of(read_lease(lease("dpu", "now", label=label))) == nodes


@pytest.mark.parametrize(("stated", "seconds"), [(None, 40.0), (3, 3.0), (0, 1.0), (-5, 1.0)])
def test_a_lease_holds_for_what_it_states_or_40_seconds(stated: int | None, seconds: float) -> None:
    assert seconds_of(read_lease(lease("dpu", "now", seconds=stated))) == seconds


def verdict(*reasons: Reason) -> PairVerdict:
    return PairVerdict("dpu-a", bool(reasons), reasons, 0.0)


@pytest.mark.parametrize(
    ("reasons", "told"),
    [
        (
            (),
            ("True", "PairReady", "The agent on the DPU node renews its Lease, and both nodes are ready."),
        ),
        (
            (Reason.LEASE_EXPIRED,),
            ("False", "LeaseExpired", "The agent on DPU node dpu-a has not renewed its Lease for 40 s."),
        ),
        (
            (Reason.DPU_NOT_READY, Reason.CPU_NOT_READY),
            ("False", "DPUNotReady", "DPU node dpu-a is not ready. This node is not ready."),
        ),
    ],
)
def test_the_condition_names_the_gravest_reason_and_tells_all(
    reasons: tuple[Reason, ...], told: tuple[str, str, str]
) -> None:
    assert told_of(verdict(*reasons), 40.0) == told


def test_what_a_node_says_is_known_whole_only_where_the_pair_is_up() -> None:
    assert found_on(read_node(node("cpu-a", told="True"))) == told_of(verdict(), 40.0)
    assert found_on(read_node(node("cpu-a", told="False"))) == Told("False", "", "")
    assert found_on(read_node(node("cpu-a"))) is None


@pytest.mark.parametrize(("status", "kind"), [("True", "Normal"), ("False", "Warning")])
def test_an_event_names_the_node_by_its_uid_and_stands_in_namespace_default(status: str, kind: str) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    made = read_node("{kind: Node, metadata: {name: cpu-a, uid: u-1}}")
    event = event_of(made, Told(status, "Why", "Because."), moment)
    assert (event.method, event.path) == ("POST", "/api/v1/namespaces/default/events")
    body = event.body or {}
    assert body["involvedObject"] == {"apiVersion": "v1", "kind": "Node", "name": "cpu-a", "uid": "u-1"}
    assert (body["type"], body["reason"], body["message"]) == (kind, "Why", "Because.")
    assert body["firstTimestamp"] == body["lastTimestamp"] == "2026-01-02T03:04:05Z"
    assert body["source"] == {"component": "offmesh"}
