"""A CPU node that waits for its DPU node, and what it holds meanwhile."""

import pytest

from tests.agent.saying import cpu, dpu, peer, single, told, ztunnel
from xds_server.agent.patience import Patience, meanwhile, sends_to
from xds_server.agent.told import Told
from xds_server.protobuf.offmesh.datapath.v1 import node_program_pb2 as api


def ready(node: str = "dpu") -> api.Peer:
    found = peer(node)
    found.holds = True
    return found


SENDS, PLAIN = told(cpu()), told(cpu(ztunnel=None))
OTHER_PEER = told(cpu(peers=[peer("far-dpu")]))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (SENDS, "dpu"),
        (PLAIN, ""),
        (told(cpu(ztunnel=ztunnel("10.244.1.2", ready=False))), ""),
        (told(cpu(peers=[])), ""),
        (told(dpu()), ""),
        (told(single()), ""),
    ],
)
def test_packets_are_sent_by_a_cpu_node_whose_peer_has_a_ztunnel(said: Told, expected: str) -> None:
    assert sends_to(said) == expected


@pytest.mark.parametrize(
    ("what", "said", "before", "waits"),
    [
        ("a node that sends nothing yet", SENDS, None, True),
        ("one that sent nothing before", SENDS, PLAIN, True),
        ("one that sent elsewhere before", SENDS, OTHER_PEER, True),
        ("one that sent there before", SENDS, SENDS, False),
        ("one whose peer is known to be ready", told(cpu(peers=[ready()])), None, False),
        ("one that is to send nothing", PLAIN, SENDS, False),
        ("a DPU node", told(dpu()), None, False),
        ("a single node", told(single()), None, False),
    ],
)
def test_one_waits_where_packets_would_be_sent_before_somebody_takes_them(
    what: str, said: Told, before: Told | None, waits: bool
) -> None:
    assert Patience(10, Clock()).left(said, before) == (10 if waits else 0), what


def test_one_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    patience = Patience(10, clock)
    assert patience.left(SENDS, None) == 10
    clock.now += 4
    assert patience.left(told(cpu(pods=[])), None) == 6
    clock.now += 6
    assert patience.left(SENDS, None) == 0
    assert "node dpu, its peer, has not told that it is ready: going on" in caplog.text


def test_another_peer_is_waited_for_from_the_beginning() -> None:
    clock = Clock()
    patience = Patience(10, clock)
    patience.left(SENDS, None)
    clock.now += 9
    assert patience.left(OTHER_PEER, None) == 10


def test_who_need_not_wait_any_more_waits_the_next_time_from_the_beginning() -> None:
    clock = Clock()
    patience = Patience(10, clock)
    patience.left(SENDS, None)
    patience.left(PLAIN, None)
    clock.now += 9
    assert patience.left(SENDS, None) == 10


def test_meanwhile_what_was_sent_before_is_sent_as_before() -> None:
    assert meanwhile(SENDS, OTHER_PEER) == OTHER_PEER


@pytest.mark.parametrize("before", [None, PLAIN])
def test_meanwhile_a_node_that_sent_nothing_is_as_if_no_ztunnel_ran(before: Told | None) -> None:
    said = told(cpu())
    found = meanwhile(said, before)
    assert not found.program.HasField("ztunnel")
    assert (list(found.program.pods), found.ranges) == (list(said.program.pods), said.ranges)
    assert said == SENDS
