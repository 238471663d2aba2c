"""
What the originals' programs carry and what they do not: why there are corrected ones.

They start with an rp_filter of 0, which they need and do not see to on the uplink of a DPU node.
"""

import pytest

from tests.helpers.lab.lab import Lab, Options
from tests.helpers.lab.traffic import SHORT_PATIENCE
from tests.helpers.lab.wanted import Wanted
from tests.netns.asking import ask, expected
from tests.netns.cases import Case
from tests.netns.every_case import KNOWN_TO_ORIGINALS


def original(lab: Lab) -> None:
    lab.hold(Wanted(edition="original"))


def tunnelled(lab: Lab) -> None:
    lab.hold(Wanted(edition="tunnelled"))


EDITIONS = [
    pytest.param(
        (Options(flavour=flavour, rp_filter=0), hold),
        hold.__name__,
        id=f"{hold.__name__}-{flavour}",
    )
    for hold in (original, tunnelled)
    for flavour in ("v2", "v1")
]


@pytest.mark.parametrize(("shared", "edition"), EDITIONS, indirect=["shared"], scope="session")
@pytest.mark.parametrize("case", KNOWN_TO_ORIGINALS, ids=str)
def test_an_original_carries_what_it_is_known_to(shared: Lab, edition: str, case: Case) -> None:
    known = case.fails.split(", ")
    fails = edition in known or f"{edition} {shared.options.flavour}" in known
    answer = ask(shared, case, SHORT_PATIENCE) if fails else ask(shared, case)
    assert (answer == expected(shared, case).answer) is not fails
