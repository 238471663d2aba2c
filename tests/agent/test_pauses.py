"""How long an agent waits before it looks again."""

from xds_server.agent.pauses import Pauses
from xds_server.agent.settings import Timing

TIMING = Timing(first_resync=5, longest_resync=30, first_retry=0.5, longest_retry=3)


def test_before_anything_was_held_or_failed_nothing_is_looked_at() -> None:
    assert Pauses(TIMING).seconds is None


def test_what_fails_is_tried_ever_later_up_to_a_bound() -> None:
    pauses, seen = Pauses(TIMING), []
    for _ in range(100):
        pauses.fail()
        seen.append(pauses.seconds)
    assert seen[:4] == [0.5, 1, 2, 3]
    assert set(seen[3:]) == {3}


def test_where_nothing_changes_the_next_look_is_ever_later_up_to_a_bound() -> None:
    pauses, seen = Pauses(TIMING), []
    for number in range(100):
        pauses.succeed(changed=not number)
        seen.append(pauses.seconds)
    assert seen[:4] == [5, 10, 20, 30]
    assert set(seen[3:]) == {30}


def test_each_failure_after_a_success_and_each_change_begins_anew() -> None:
    pauses = Pauses(TIMING)
    for _ in range(5):
        pauses.succeed(changed=False)
    pauses.fail()
    assert pauses.seconds == 0.5
    pauses.fail()
    pauses.succeed(changed=True)
    assert pauses.seconds == 5
    pauses.fail()
    assert pauses.seconds == 0.5


def test_what_is_waited_for_is_waited_for_so_long() -> None:
    pauses = Pauses(TIMING)
    pauses.wait(7.5)
    assert pauses.seconds == 7.5
