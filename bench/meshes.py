"""The meshes that the rows are measured with, written once."""

from pathlib import Path

from bench.changes import ChangingPod
from bench.governing import ChangingPolicy
from bench.layout import Size
from bench.mesh import CHANGING_PODS, changing_file, write_mesh

CHANGING_POLICIES = 100

TINY = Size(pods=1_000, services=100, nodes=20)
USUAL = Size(pods=5_000, services=500, nodes=100)
GOVERNED = Size(pods=5_000, services=2_000, nodes=100)
LARGE = Size(pods=50_000, services=2_000, nodes=1_000)


class Meshes:
    """Folders of meshes below a folder, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, size: Size, *, governed: bool = False) -> Path:
        """Return the folder with the mesh of this size, as ``bench/mesh.py`` writes it."""
        folder = self._folder / ("-".join(map(str, size)) + "-governed" * governed)
        if not folder.exists():
            write_mesh(folder, size, CHANGING_PODS, governed=governed)
        return folder

    def changing_policies(self, size: Size) -> list[ChangingPolicy]:
        folder = self.of(size, governed=True)
        return [ChangingPolicy(folder, size, number) for number in range(CHANGING_POLICIES)]

    def changing_pods(self, size: Size, *, governed: bool = False) -> list[ChangingPod]:
        folder = self.of(size, governed=governed)
        return [ChangingPod(changing_file(folder, number), size, number) for number in range(CHANGING_PODS)]
