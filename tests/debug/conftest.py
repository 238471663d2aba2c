"""The mesh that the debug views are asked of."""

from pathlib import Path

import pytest

from tests.helpers.served_mesh import ServedMesh, shop


@pytest.fixture
def mesh() -> ServedMesh:
    return shop()


@pytest.fixture
def mesh_with_identity(mesh: ServedMesh, tmp_path: Path) -> ServedMesh:
    mesh.give_identity(tmp_path / "certs")
    return mesh
