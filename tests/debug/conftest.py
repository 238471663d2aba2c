"""The mesh that the debug views are asked of."""

import pytest

from tests.helpers.served_mesh import ServedMesh, shop


@pytest.fixture
def mesh() -> ServedMesh:
    return shop()
