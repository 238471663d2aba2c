"""How long a change took to each client, from when it was made and what arrived."""

from math import inf

import pytest

from bench.changes import Arrival, Change, latencies_ms
from bench.figures import percentile, rounded, spread

MS = 1_000_000
AT = 1_000 * MS


def arrival(revision: int, after_ms: int, client: int = 0, name: str = "a") -> Arrival:
    return Arrival(client, name, revision, AT + after_ms * MS)


@pytest.mark.parametrize(
    ("arrivals", "taken"),
    [
        pytest.param([], [inf], id="what did not come, never came"),
        pytest.param([arrival(7, 3)], [3.0], id="the state itself"),
        pytest.param(
            [Arrival(0, "a", 6, AT + MS), Arrival(0, "a", 7, AT + 5 * MS)], [5.0], id="not an older state"
        ),
        pytest.param([Arrival(0, "a", 9, AT + 4 * MS)], [4.0], id="a newer state instead"),
        pytest.param(
            [Arrival(0, "a", 7, AT + MS), Arrival(0, "a", 8, AT + 9 * MS)], [1.0], id="the first of both"
        ),
        pytest.param([Arrival(0, "b", 7, AT + MS)], [inf], id="another resource"),
        pytest.param([Arrival(1, "a", 7, AT + MS)], [inf], id="another client"),
    ],
)
def test_a_change_takes_until_its_state_or_a_later_one_arrives(
    arrivals: list[Arrival], taken: list[float]
) -> None:
    assert latencies_ms([Change("a", 7, AT)], arrivals, clients=1) == taken


def test_every_change_counts_once_for_every_client() -> None:
    changes = [Change("a", 1, AT), Change("a", 2, AT + 10 * MS)]
    arrivals = [Arrival(client, "a", 2, AT + (12 + client) * MS) for client in range(3)]
    assert sorted(latencies_ms(changes, arrivals, clients=3)) == [2.0, 3.0, 4.0, 12.0, 13.0, 14.0]


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, inf), ([3.0], 0.99, 3.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, 2.0, inf], 1.0, inf)],
)
def test_a_percentile_is_one_of_the_values(values: list[float], share: float, found: float) -> None:
    assert percentile(values, share) == found


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.4749, "0.475"), (11.84, "11.8"), (2965.4, "2965"), (inf, "never")]
)
def test_numbers_are_told_with_three_digits(value: float, text: str) -> None:
    assert rounded(value) == text


@pytest.mark.parametrize(("values", "text"), [([2.0], "2"), ([3.0, 1.0, 2.0], "2 (1..3)")])
def test_several_measurements_are_told_as_median_and_range(values: list[float], text: str) -> None:
    assert spread(values) == text
