"""
Labs for tests that ask for one; they take root, and without it these tests are skipped.

``shared`` is one that tests of the same options use one after the other, each beginning by what its nodes
shall hold; ``build`` is for tests that change what a lab is made of, or need it as it was made.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.helpers.lab.lab import Lab, Options, lab
from tests.helpers.lab.namespaces import forget_the_dead
from tests.helpers.lab.topology import TOPOLOGY, Topology
from tests.helpers.scratch_node import TOOLS

_PREFIX = "omlab"
_numbers = itertools.count()


class Build(Protocol):
    """Builds a lab that is there until the test has ended."""

    def __call__(self, options: Options, topology: Topology = TOPOLOGY) -> Lab: ...


@pytest.fixture(scope="session")
def _is_possible() -> None:
    if os.geteuid() != 0:
        pytest.skip("network namespaces take root")
    if lacking := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"missing: {', '.join(lacking)}")
    probe = f"{_PREFIX}-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no network namespace can be made: {made.stderr.strip()}")
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    forget_the_dead(_PREFIX)


@pytest.fixture
def build(_is_possible: None) -> Iterator[Build]:
    """Labs of the test's own."""
    with ExitStack() as held:

        def made(options: Options, topology: Topology = TOPOLOGY) -> Lab:
            return held.enter_context(lab(_new_prefix(), options, topology))

        yield made


@pytest.fixture(scope="session")
def shared(_is_possible: None, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab that the tests with the same options have together, in each process that runs some of them."""
    options, prepare = request.param
    with lab(_new_prefix(), options) as built:
        prepare(built)
        yield built


def _new_prefix() -> str:
    return f"{_PREFIX}-{os.getpid()}-{next(_numbers)}-"
