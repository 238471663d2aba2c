"""When a new generation signs, and how long roots are trusted. Times are in seconds; an overlap is ten."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.identity.authority.material import Generation
from xds_server.identity.authority.rotation import Rotation, advance, offer

OVERLAP = 10
FOREVER = 1e9


def generation(issuer: str, *roots: str, not_after: float = FOREVER) -> Generation:
    """An issuer named by its root and a number (``a1``), trusted by that root and by others."""
    return Generation(
        certificate_pem=issuer,
        key_pem=f"key of {issuer}",
        chain=(issuer,),
        roots=tuple(dict.fromkeys((issuer[0], *roots))),
        not_after=not_after,
        digest=issuer,
    )


A1, A2, B1, C1 = map(generation, ("a1", "a2", "b1", "c1"))


def offered(*offers: tuple[float, Generation]) -> Rotation:
    """Make each offer at its time."""
    rotation = None
    for at, one in offers:
        rotation = offer(rotation, one, at, OVERLAP)
    assert rotation
    return rotation


def state(rotation: Rotation, at: float) -> tuple[str, str]:
    """Return who signs at a time, and who is trusted."""
    rotation = advance(rotation, at, OVERLAP)
    return rotation.current.digest, rotation.trust_bundle


def test_the_first_generation_signs_at_once() -> None:
    assert state(offered((5, A1)), 5) == ("a1", "a")


def test_what_signs_already_changes_nothing_when_it_is_offered_again() -> None:
    rotation = offered((0, A1))
    assert offer(rotation, A1, 99, OVERLAP) is rotation
    waiting = offered((0, A1), (20, B1))
    assert offer(waiting, B1, 25, OVERLAP) is waiting


@pytest.mark.parametrize(
    ("at", "expected"),
    [(20, ("a1", "ab")), (29.9, ("a1", "ab")), (30, ("b1", "ab")), (39.9, ("b1", "ab"))],
)
def test_a_new_root_is_announced_then_signs_then_the_old_one_goes(
    at: float, expected: tuple[str, str]
) -> None:
    assert state(offered((0, A1), (20, B1)), at) == expected


def test_the_old_root_goes_an_overlap_after_its_last_leaf() -> None:
    rotation = advance(offered((0, A1), (20, B1)), 30, OVERLAP)
    assert state(rotation, 39.9) == ("b1", "ab")
    assert state(rotation, 40) == ("b1", "b")


def test_a_switch_that_comes_late_counts_from_when_it_came() -> None:
    rotation = advance(offered((0, A1), (20, B1)), 50, OVERLAP)
    assert state(rotation, 59.9) == ("b1", "ab")
    assert state(rotation, 60) == ("b1", "b")


def test_a_renewed_intermediate_signs_at_once() -> None:
    assert state(offered((0, A1), (20, A2)), 20) == ("a2", "a")


def test_a_root_that_the_operator_announced_long_ago_signs_at_once() -> None:
    rotation = offered((0, A1), (20, generation("a1", "b")), (30, generation("b1", "a")))
    assert state(rotation, 30) == ("b1", "ab")


def test_a_root_added_beside_what_signs_is_trusted_at_once_and_nothing_waits() -> None:
    rotation = offered((0, A1), (20, generation("a1", "b")))
    assert state(rotation, 20) == ("a1", "ab")
    assert rotation.next is None


def test_a_root_that_was_announced_a_moment_ago_waits_for_the_rest_of_its_time() -> None:
    rotation = offered((0, A1), (20, generation("a1", "b")), (26, B1))
    assert rotation.switch_at == 30
    assert state(rotation, 29) == ("a1", "ab")
    assert state(rotation, 30) == ("b1", "ab")


def test_a_root_taken_away_stays_for_an_overlap() -> None:
    rotation = offered((0, generation("a1", "b")), (20, A1))
    assert [(root.pem, root.until) for root in rotation.retired] == [("b", 30)]
    assert state(rotation, 29.9) == ("a1", "ab")
    assert state(rotation, 30) == ("a1", "a")


def test_an_expired_issuer_is_replaced_at_once() -> None:
    first = generation("a1", not_after=20)
    assert state(offered((0, first), (25, B1)), 25) == ("b1", "ab")
    assert state(offered((0, first), (15, B1)), 19.9) == ("a1", "ab")
    assert state(offered((0, first), (15, B1)), 20) == ("b1", "ab")


def test_a_generation_that_expires_while_it_waits_never_signs() -> None:
    rotation = offered((0, A1), (20, generation("b1", not_after=25)))
    assert state(rotation, 25) == ("a1", "ab")
    assert advance(rotation, 25, OVERLAP).next is None
    assert state(advance(rotation, 25, OVERLAP), 35) == ("a1", "a")


def test_a_second_offer_takes_the_place_of_the_waiting_one_and_its_new_roots_wait() -> None:
    rotation = offered((0, A1), (20, B1), (25, C1))
    assert rotation.next == C1
    assert rotation.switch_at == 35
    assert state(rotation, 34.9) == ("a1", "abc")
    assert state(rotation, 35) == ("c1", "ac")


def test_a_second_offer_under_the_waiting_root_keeps_its_time() -> None:
    rotation = offered((0, A1), (20, B1), (25, generation("b2")))
    assert rotation.switch_at == 30
    assert state(rotation, 30) == ("b2", "ab")


def test_an_offer_of_what_signs_takes_the_waiting_one_back() -> None:
    rotation = offered((0, A1), (20, B1), (25, A1))
    assert rotation.next is None
    assert state(rotation, 34.9) == ("a1", "ab")
    assert state(rotation, 35) == ("a1", "a")


def test_the_order_of_the_bundle_is_the_same_in_every_phase() -> None:
    rotation = offered((0, B1), (20, A1))
    assert {state(rotation, at)[1] for at in (20, 30, 35)} == {"ab"}


def test_the_next_change_is_told_until_there_is_none() -> None:
    rotation = offered((0, A1), (20, B1))
    times = []
    while (at := rotation.changes_at) is not None:
        times.append(at)
        rotation = advance(rotation, at, OVERLAP)
    assert times == [30, 40]


def test_an_issuers_end_is_a_change_while_another_waits() -> None:
    rotation = offered((0, generation("a1", not_after=25)), (20, B1))
    assert rotation.changes_at == 25


def test_a_rotation_survives_being_written_and_read() -> None:
    rotation = advance(offered((0, A1), (20, B1), (25, C1)), 36, OVERLAP)
    assert msgspec.json.decode(msgspec.json.encode(rotation), type=Rotation) == rotation


def test_no_key_is_in_what_is_printed() -> None:
    assert "key of" not in repr(offered((0, A1), (20, B1)))


@dataclass(frozen=True)
class Step:
    """A second in the life of an authority."""

    awake: bool
    """Whether what is due is done."""
    offer: Generation | None


GENERATIONS = st.builds(
    lambda issuer, others: generation(issuer, *others),
    st.sampled_from(["a1", "a2", "b1", "b2", "c1", "d1"]),
    st.sets(st.sampled_from("abcd"), max_size=2).map(sorted),
)
STEPS = st.lists(
    st.builds(Step, awake=st.booleans(), offer=st.one_of(st.none(), st.none(), st.none(), GENERATIONS)),
    max_size=8 * OVERLAP,
)


@given(GENERATIONS, STEPS)
def test_clients_trust_each_others_leaves_whatever_is_offered_whenever(
    first: Generation, steps: list[Step]
) -> None:
    """A client's leaf and bundle are of one moment, both at most an overlap old while the leaf is valid."""
    rotation, fetched = offer(None, first, 0, OVERLAP), []
    for now, step in enumerate(steps):
        rotation = advance(rotation, now, OVERLAP) if step.awake else rotation
        rotation = offer(rotation, step.offer, now, OVERLAP) if step.offer else rotation
        fetched.append((rotation.current.digest[0], {root.pem for root in rotation.roots}))
    for at, (root, _) in enumerate(fetched):
        for _, bundle in fetched[max(0, at - OVERLAP) : at + OVERLAP + 1]:
            assert root in bundle


@given(GENERATIONS, STEPS, GENERATIONS)
def test_what_is_offered_last_signs_in_the_end_and_its_roots_alone_are_trusted(
    first: Generation, steps: list[Step], last: Generation
) -> None:
    rotation = offer(None, first, 0, OVERLAP)
    for now, step in enumerate(steps):
        rotation = offer(rotation, step.offer, now, OVERLAP) if step.offer else rotation
    rotation = offer(rotation, last, len(steps), OVERLAP)
    rotation = advance(rotation, len(steps) + OVERLAP, OVERLAP)
    assert rotation.current == last
    rotation = advance(rotation, len(steps) + 2 * OVERLAP, OVERLAP)
    assert {root.pem for root in rotation.roots} == set(last.roots)
    assert rotation.changes_at is None
