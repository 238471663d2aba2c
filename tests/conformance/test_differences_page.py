"""The page of differences accounts for every oddity of istiod and for every case that differs."""

import re
from pathlib import Path

import pytest

from tests.conformance.tables import read_cases

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/differences-from-istiod.md").read_text()
CASES = {case.id: case for case in read_cases()}
PROGRAMS = "".join(
    (ROOT / f"tests/conformance/test_{name}.py").read_text() for name in ("discovery", "certificates")
)
ODDITIES = [f"Q{number}" for number in range(1, 19)]
SECTIONS = {"P": 22, "E": 1, "W": 14, "S": 6, "V": 11, "X": 7, "C": 4, "G": 6, "A": 8, "M": 10, "N": 2}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_every_oddity_has_its_row(oddity: str) -> None:
    assert len(re.findall(rf"^\| {oddity} \|", PAGE, re.MULTILINE)) == 1


def test_every_case_that_differs_is_told() -> None:
    differing = {case.id for case in CASES.values() if "differs from istiod" in case.says}
    assert differing
    assert [name for name in sorted(differing) if not re.search(rf"\b{name}\b(?!-)", PAGE)] == []


def test_every_case_it_names_is_there() -> None:
    named = set(re.findall(r"\b[A-Z][0-9]{1,2}(?:-[a-z]+(?:-[a-z]+)*)?\b", PAGE)) - set(ODDITIES)
    missing = [name for name in named if name not in CASES and f"def test_{name.lower()}_" not in PROGRAMS]
    assert named
    assert missing == []


@pytest.mark.parametrize(
    "name",
    [f"{letter}{number}" for letter, count in SECTIONS.items() for number in range(1, count + 1)],
)
def test_every_case_of_the_specification_is_in_a_table(name: str) -> None:
    assert name in CASES


@pytest.mark.parametrize(
    "name", [f"d{number}" for number in range(1, 11)] + [f"k{number}" for number in range(1, 6)]
)
def test_every_case_of_streams_and_certificates_is_a_test(name: str) -> None:
    assert f"def test_{name}_" in PROGRAMS
