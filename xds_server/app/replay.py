"""
A mesh without a server: what would be served to clients, of objects that were captured elsewhere.

The way is the server's own: decoded, put into the registry, derived. Only the sources that follow
their inputs, and the clients, are not there.
"""

from collections.abc import Iterable, Iterator

from xds_server.debug.rendering import Rendered, rendered
from xds_server.exceptions import InputError, Problem
from xds_server.mesh.graph import Mesh, new_registry
from xds_server.settings import MeshSettings
from xds_server.sources.captures import Capture, restore
from xds_server.sources.manifests.decode import Contents, ObjectId, decode


class Replay:
    """A mesh that is fed by hand."""

    def __init__(self, settings: MeshSettings, *, two_clusters: bool = False) -> None:
        self.registry = new_registry()
        self.mesh = Mesh(self.registry, settings, two_clusters=two_clusters)
        self._refused: list[Problem] = []

    def take(self, where: str, text: bytes) -> Contents:
        """
        Add or replace the objects of a manifest in one transaction; return all that was found in it.

        Raises:
            InputError: the text is no JSON or YAML.

        """
        contents = read_manifest(where, text)
        self.add(contents)
        return contents

    def add(self, contents: Contents) -> None:
        """Add or replace the objects of a manifest in one transaction."""
        self._refused += contents.problems
        with self.registry.graph.transaction():
            for (kind, key), item in contents.objects.items():
                self.registry.of(kind).set(key, item)

    def remove(self, objects: Iterable[ObjectId]) -> None:
        """Delete objects in one transaction."""
        with self.registry.graph.transaction():
            for kind, key in objects:
                self.registry.of(kind).delete(key)

    def resources(self) -> Rendered:
        """Return every resource that would be served."""
        return rendered(self.mesh)

    def problems(self) -> Iterator[str]:
        """Tell which objects are not in use, or only in part."""
        yield from map(str, self._refused)
        for collection, key, reason in self.mesh.problems():
            yield f"{collection}: {key}: {reason}"


def read_manifest(where: str, text: bytes) -> Contents:
    """
    Return all that is in a manifest.

    Raises:
        InputError: the text is no JSON or YAML.

    """
    contents = decode(where, text)
    if isinstance(contents, Problem):
        raise InputError(str(contents))
    return contents


def replay_capture(where: str, capture: Capture) -> Replay:
    """
    Make the mesh that a server held, with its settings and placement map.

    Raises:
        InputError: the capture is of another version, and cannot be read.

    """
    made = Replay(capture.mesh, two_clusters=capture.two_clusters)
    restore(where, capture, made.registry)
    return made
