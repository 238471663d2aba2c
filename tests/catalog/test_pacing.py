"""When the next publication may go out; all times are given, none is measured."""

import pytest

from xds_server.catalog.pacing import LONGEST, Pacing


def paced(*publications: tuple[float, float]) -> Pacing:
    """A pacing that has seen publications: when each went out, and when it was written."""
    pacing = Pacing()
    for published, written in publications:
        pacing.record_published(published)
        pacing.record_written(written)
    return pacing


def test_the_first_change_goes_at_once() -> None:
    assert Pacing().earliest() < 0
    assert Pacing().latest() < 0


def test_a_change_after_quiet_goes_at_once() -> None:
    pacing = paced((10.0, 10.09))
    assert pacing.earliest() < 11.0


def test_what_costs_nothing_is_followed_at_once() -> None:
    assert paced((10.0, 10.0)).earliest() == 10.0


def test_the_pause_grows_with_what_publications_cost() -> None:
    cheap = paced(*((second, second + 0.001) for second in range(10)))
    dear = paced(*((second, second + 0.020) for second in range(10)))
    assert 9.0 < cheap.earliest() < dear.earliest() < 9.0 + LONGEST


def test_writing_gets_four_fifths_of_the_time_when_changes_never_stop() -> None:
    pacing = paced(*((second, second + 0.020) for second in range(50)))
    assert pacing.earliest() - 49.0 == pytest.approx(0.025)


@pytest.mark.parametrize("taken", [0.09, 0.1, 5.0, 3_600.0])
def test_the_pause_is_never_longer_than_the_longest(taken: float) -> None:
    pacing = paced(*((second, second + taken) for second in range(50)))
    assert pacing.earliest() == pytest.approx(49.0 + LONGEST)
    assert pacing.latest() == pytest.approx(49.0 + LONGEST)


def test_one_slow_publication_is_forgotten_after_some_quick_ones() -> None:
    pacing = paced((0.0, 50.0), *((100.0 + second, 100.0 + second) for second in range(20)))
    assert pacing.earliest() == pytest.approx(119.0, abs=0.001)
