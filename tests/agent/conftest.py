"""A real node for tests that ask for one; they are marked ``needs_root``."""

from collections.abc import Iterator

import pytest

from tests.helpers.scratch_node import ScratchNode, add_things_of_others, scratch_node


@pytest.fixture
def node() -> Iterator[ScratchNode]:
    """A DPU node, as ``tests/datapath/nodes.py`` has it, on which others have put things already."""
    with scratch_node() as made:
        add_things_of_others(made, "nft")
        yield made
