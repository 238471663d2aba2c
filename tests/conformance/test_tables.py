"""Every case of every table."""

import pytest

from tests.conformance.tables import Case, read_cases
from tests.conformance.world import World


@pytest.mark.parametrize("case", list(read_cases()), ids=lambda case: case.id)
def test_case(case: Case) -> None:
    world = World(case)
    world.apply(case.given)
    world.check(case)
    for step in case.then:
        world.edit(step)
        world.check(step)
