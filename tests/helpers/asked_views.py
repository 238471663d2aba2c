"""Asking a debug view as its readers do."""

import json
from typing import Any

from tests.helpers.served_mesh import ServedMesh
from xds_server.debug.json_text import json_slices
from xds_server.debug.paths import View
from xds_server.debug.question import Question


def tell(view: View, mesh: ServedMesh, /, **asked: str) -> Any:
    """Ask a view at second 2,000; return what a reader of its JSON gets."""
    slices = json_slices(lambda: view(mesh.served, Question(asked, 2_000.0)), pretty=False)
    return json.loads(b"".join(slices))


def names(told: Any, key: str = "name") -> list[str]:
    return [item[key] for item in told]
