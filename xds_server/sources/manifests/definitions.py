"""
Which file defines which object, and which definition is in force.

Theory
1. A file claims every object it defines. Of several claims the lexicographically first file's is in
   force; when that goes, the next takes over, so an object is absent only when no file claims it.
2. A claim is *leaving* when its file no longer makes it but that is not yet believed. It yields to
   any other, and is no rival to report: an object may have moved to another file.
"""

from collections.abc import Collection, Iterator, Mapping

from xds_server.objects.kubernetes import KubernetesObject
from xds_server.sources.manifests.decode import ObjectId
from xds_server.store.multimap import MultiMap

Objects = Mapping[ObjectId, KubernetesObject]

_NOTHING: Objects = {}
_NONE: frozenset[ObjectId] = frozenset()


class Definitions:
    """The claims of all files, by file and by object."""

    def __init__(self) -> None:
        self._held: dict[str, Objects] = {}
        self._leaving: dict[str, frozenset[ObjectId]] = {}
        self._claims: dict[type[KubernetesObject], MultiMap] = {}
        self._contested: set[ObjectId] = set()
        """Objects with more than one claim."""

    def __iter__(self) -> Iterator[ObjectId]:
        for kind, claims in self._claims.items():
            for key in claims:
                yield kind, key

    def held(self, file: str) -> Objects:
        """Return the objects a file claims, leaving or not."""
        return self._held.get(file, _NOTHING)

    def leaving(self, file: str) -> frozenset[ObjectId]:
        return self._leaving.get(file, _NONE)

    def replace(self, file: str, objects: Objects, leaving: frozenset[ObjectId] = _NONE) -> set[ObjectId]:
        """Make ``objects`` all that ``file`` claims; return those whose definition in force may differ."""
        before = self.held(file)
        touched = {known for known, item in objects.items() if before.get(known) != item}
        touched |= before.keys() - objects.keys()
        touched |= (self.leaving(file) ^ leaving) & self._contested
        for kind, key in before.keys() - objects.keys():
            self._claims[kind].discard(key, file)
            if len(self._claims[kind].get(key)) < 2:
                self._contested.discard((kind, key))
        for kind, key in objects.keys() - before.keys():
            claims = self._claims.setdefault(kind, MultiMap())
            claims.add(key, file)
            if len(claims.get(key)) > 1:
                self._contested.add((kind, key))
        self._held[file], self._leaving[file] = objects, leaving
        if not objects:
            del self._held[file], self._leaving[file]
        return touched

    def in_force(self, known: ObjectId) -> KubernetesObject | None:
        """Return the definition in force; None when no file claims the object."""
        winner = self._winner(known)
        return self._held[winner][known] if winner is not None else None

    def claimed_by(self, known: ObjectId) -> Collection[str]:
        """Return the files that claim an object."""
        kind, key = known
        claims = self._claims.get(kind)
        return claims.get(key) if claims is not None else ()

    def overruled(self, file: str) -> list[tuple[ObjectId, str]]:
        """Return the objects of a file that another file defines instead, and that file."""
        objects, leaving = self.held(file), self.leaving(file)
        rivals = [
            (known, self._winner(known) or file)
            for known in self._contested
            if known in objects and known not in leaving
        ]
        rivals.sort(key=lambda rival: (rival[0][0].__name__, rival[0][1]))
        return [rival for rival in rivals if rival[1] != file]

    def _winner(self, known: ObjectId) -> str | None:
        files = self.claimed_by(known)
        if known in self._contested:
            return min(files, key=lambda file: (known in self.leaving(file), file))
        return next(iter(files), None)
