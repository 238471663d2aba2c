"""Callers take turns, and neither one nor all can fill memory."""

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.exceptions import LimitError
from xds_server.identity.signing.queue import FairQueue


def test_callers_are_served_in_turn_and_each_in_its_order() -> None:
    queue: FairQueue[str] = FairQueue(10, 10)
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.put(item[0], item)
    assert [queue.take() for _ in range(7)] == ["a1", "b1", "c1", "a2", "c2", "a3", None]


def test_a_caller_that_comes_later_waits_for_one_of_each_other() -> None:
    queue: FairQueue[str] = FairQueue(10, 10)
    for item in ("a1", "a2", "a3"):
        queue.put("a", item)
    assert queue.take() == "a1"
    queue.put("b", "b1")
    assert [queue.take(), queue.take()] == ["a2", "b1"]


def test_one_caller_may_not_take_all_places() -> None:
    queue: FairQueue[int] = FairQueue(3, 2)
    queue.put("a", 1)
    queue.put("a", 2)
    with pytest.raises(LimitError, match="of this caller"):
        queue.put("a", 3)
    queue.put("b", 4)
    with pytest.raises(LimitError, match="try again later"):
        queue.put("c", 5)
    assert len(queue) == 3


@given(st.lists(st.one_of(st.sampled_from("abc"), st.none()), max_size=60))
def test_nothing_is_lost_or_doubled_and_nobody_waits_two_rounds(steps: list[str | None]) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue(1_000, 1_000)
    waiting: dict[str, deque[int]] = {}
    served_since: dict[str, Counter[str]] = {}
    for number, caller in enumerate(steps):
        if caller is not None:
            queue.put(caller, (caller, number))
            waiting.setdefault(caller, deque()).append(number)
            served_since.setdefault(caller, Counter())
            continue
        taken = queue.take()
        if taken is None:
            assert not waiting
            continue
        name, at = taken
        assert waiting[name].popleft() == at
        del served_since[name]
        for others in served_since.values():
            others[name] += 1
            assert others[name] <= 1
        if waiting[name]:
            served_since[name] = Counter()
        else:
            del waiting[name]
    assert len(queue) == sum(map(len, waiting.values()))
