"""One node's part in the health of its pairs, damped."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.liveness.damping import Damping, Reason, Side

FAULT = (Reason.DPU_NOT_READY,)
DAMPING = Damping()


@dataclass
class Driven:
    """A side that is advanced at its own moments, too, as whoever runs it must."""

    side: Side
    now: float = 0.0

    def to(self, now: float, *, faulty: bool = False) -> bool:
        """Let time pass, then let it be faulty or not; return whether it is down then."""
        while (end := self.side.hold_until) is not None and end <= now:
            self.side.advance((), end)
        self.now = now
        self.side.advance(FAULT if faulty else (), now)
        return self.side.down

    def recovers_after(self) -> float:
        """Return how long a side that is faulty is down after its fault has ended now."""
        self.to(self.now)
        end = self.side.hold_until
        assert end is not None
        return end - self.now


def driven() -> Driven:
    return Driven(Side(DAMPING))


def test_a_fault_acts_at_once_and_its_end_after_two_seconds() -> None:
    node = driven()
    assert not node.to(0.0)
    assert node.to(10.0, faulty=True)
    assert node.side.reasons == FAULT
    assert node.to(20.0)
    assert (node.side.reasons, node.side.hold_until) == (FAULT, 22.0)
    assert node.to(21.9)
    assert not node.to(22.0)
    assert not node.side.reasons
    assert not node.side.hold_until


def test_a_fault_within_the_hold_time_begins_it_anew_and_is_no_flap() -> None:
    node = driven()
    for second in range(10):
        node.to(float(second), faulty=True)
        assert node.to(second + 0.5)
    assert node.side.hold_until == 11.5
    assert node.side.flaps == 0


def test_every_flap_doubles_the_hold_time_up_to_a_minute() -> None:
    node, holds = driven(), []
    for _ in range(8):
        node.to(node.now + 1.0, faulty=True)
        holds.append(node.recovers_after())
        node.to(node.now + holds[-1])
    assert holds == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


@pytest.mark.parametrize("period", [5.0, 3.0, 20.0, 59.0])
def test_a_node_that_flaps_settles_to_down(period: float) -> None:
    node = driven()
    history = [node.to(number * period, faulty=number % 2 == 0) for number in range(200)]
    assert all(history[-100:])


@pytest.mark.parametrize(("apart", "hold"), [(299.0, 4.0), (300.0, 2.0)])
def test_a_fault_is_a_flap_when_it_comes_within_five_minutes_of_coming_up(apart: float, hold: float) -> None:
    node = driven()
    node.to(0.0, faulty=True)
    node.to(8.0)
    node.to(10.0 + apart, faulty=True)
    assert node.recovers_after() == hold


def flapping() -> Driven:
    """Return a node that has just come up from its third flap, after a hold time of 16 s."""
    node = driven()
    for _ in range(4):
        node.to(node.now + 1.0, faulty=True)
        node.to(node.now + 1.0)
        node.to(node.now + 16.0)
    return node


@pytest.mark.parametrize(("quiet", "hold"), [(599.0, 16.0), (600.0, 2.0)])
def test_flaps_are_forgotten_after_ten_minutes_without_a_fault(quiet: float, hold: float) -> None:
    node = flapping()
    since_the_last_fault = 16.0
    node.to(node.now - since_the_last_fault + quiet, faulty=True)
    assert node.recovers_after() == hold


@pytest.mark.parametrize(("quiet", "hold"), [(599.0, 32.0), (600.0, 2.0)])
def test_flaps_are_forgotten_in_a_fault_of_ten_minutes(quiet: float, hold: float) -> None:
    node = flapping()
    node.to(node.now + 1.0, faulty=True)
    node.to(node.now + quiet, faulty=True)
    assert node.recovers_after() == hold


_HISTORY = st.lists(st.tuples(st.floats(0.1, 400.0), st.booleans()), max_size=40)


@given(_HISTORY)
def test_it_is_down_while_faulty_and_comes_up_at_most_once_in_a_hold_time(
    history: list[tuple[float, bool]],
) -> None:
    node, ends = driven(), [-1e9]
    for pause, faulty in history:
        was_down, ended_at = node.side.down, node.side.hold_until
        down = node.to(node.now + pause, faulty=faulty)
        assert down or not faulty
        assert node.side.down or not node.side.reasons
        if was_down and ended_at is not None and ended_at <= node.now:
            assert ended_at - ends[-1] >= DAMPING.recovery_seconds
            ends.append(ended_at)
    assert 0 <= node.side.flaps <= len(history)
