"""What is to be looked at, and when."""

from hypothesis import given
from hypothesis import strategies as st

from xds_server.leadership.pending import Pending, Repairs


def _all(pending: Pending, now: float) -> list[str]:
    taken = []
    while (key := pending.take(now)) is not None:
        taken.append(key)
    return taken


def test_what_was_named_last_comes_first_and_each_once() -> None:
    pending = Pending()
    pending.add(["old", "older", "oldest"])
    pending.add(["new"])
    pending.add(["old"])
    assert _all(pending, 0.0) == ["old", "new", "oldest", "older"]


def test_a_key_on_hold_is_due_when_its_time_has_come_though_nobody_named_it() -> None:
    pending = Pending()
    pending.hold("held", 10.0)
    pending.hold("longer", 20.0)
    assert pending.next_at == 10.0
    assert _all(pending, 9.9) == []
    assert _all(pending, 10.0) == ["held"]
    assert pending.next_at == 20.0


def test_a_key_on_hold_is_not_due_earlier_because_it_is_named() -> None:
    pending = Pending()
    pending.add(["held"])
    pending.hold("held", 10.0)
    pending.add(["held"])
    assert _all(pending, 0.0) == []
    assert _all(pending, 10.0) == ["held"]


def test_what_is_discarded_is_neither_due_nor_on_hold() -> None:
    pending = Pending()
    pending.add(["due"])
    pending.hold("held", 10.0)
    for key in ("due", "held", "unknown"):
        pending.discard(key)
    assert _all(pending, 10.0) == []
    assert pending.next_at is None


_STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "hold", "take"]), st.sampled_from("abc"), st.floats(0, 100)),
    max_size=30,
)


@given(_STEPS)
def test_nothing_that_was_named_is_forgotten(steps: list[tuple[str, str, float]]) -> None:
    pending, owed, now = Pending(), set[str](), 0.0
    for step, key, moment in steps:
        if step == "add":
            pending.add([key])
            owed.add(key)
        elif step == "hold":
            pending.hold(key, moment)
            owed.add(key)
        else:
            now = max(now, moment)
            taken = pending.take(now)
            assert taken in owed or (taken is None and (pending.next_at is not None or not owed))
            owed.discard(taken or "")
    assert set(_all(pending, 1_000.0)) == owed


def test_a_few_repairs_are_free_and_further_ones_wait_ever_longer() -> None:
    repairs = Repairs()
    pauses = [repairs.receive("ns", "roots", float(now)) for now in range(12)]
    assert pauses == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_other_content_other_keys_and_quiet_times_are_no_repairs() -> None:
    repairs = Repairs()
    for number in range(10):
        assert repairs.receive("ns", f"roots {number}", float(number)) == 0.0
        assert repairs.receive(f"ns-{number}", "roots", float(number)) == 0.0
    for number in range(10):
        assert repairs.receive("quiet", "roots", number * 600.0) == 0.0


def test_what_is_discarded_begins_afresh() -> None:
    repairs = Repairs()
    for now in range(5):
        repairs.receive("ns", "roots", float(now))
    repairs.discard("ns")
    repairs.discard("unknown")
    assert repairs.receive("ns", "roots", 6.0) == 0.0
