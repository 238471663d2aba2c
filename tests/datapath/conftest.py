"""A real kernel for tests that ask for one; they are marked ``needs_root``."""

from collections.abc import Iterator

import pytest

from tests.helpers.scratch_node import ScratchNode, add_things_of_others, scratch_node
from xds_server.datapath.kernel import Backend, Kernel


@pytest.fixture
def node() -> Iterator[ScratchNode]:
    with scratch_node() as made:
        yield made


@pytest.fixture(params=Backend)
def kernel(request: pytest.FixtureRequest, node: ScratchNode) -> Kernel:
    """Of ``node``, on which others have put things already; one for each backend of iptables."""
    add_things_of_others(node, request.param)
    return Kernel(node.name, request.param)
