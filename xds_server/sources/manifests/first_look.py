"""One object of the manifests, before all of them are loaded."""

import re
from collections.abc import Iterable
from pathlib import Path

from xds_server.exceptions import InputError
from xds_server.objects.kubernetes import MeshConfigMap
from xds_server.sources.manifests.decode import Contents, decode
from xds_server.sources.manifests.source import is_manifest
from xds_server.sources.watch.survey import survey

# To decode every file twice would double the time a large mesh takes to load.
_has_config_map = re.compile(rb"""kind["']?\s*:\s*["']?ConfigMap(List)?\b""").search
_PIECE, _OVERLAP = 1 << 16, 200
_says_a_name = re.compile(rb"trustDomain|rootNamespace").search


def find_config_map(paths: Iterable[Path], key: str) -> MeshConfigMap | None:
    """
    Return the ConfigMap that will be in force once the manifests are loaded; None where there is none.

    Raises:
        InputError: it cannot be used, or a broken file may hold it.

    """
    for file in sorted(survey(map(str, paths), is_manifest).stamps):
        contents = _contents(Path(file))
        found = contents.objects.get((MeshConfigMap, key))
        if isinstance(found, MeshConfigMap):
            return found
        if unusable := contents.unusable.get((MeshConfigMap, key)):
            raise InputError(str(unusable))
    return None


def _may_hold_one(file: Path) -> bool:
    """Search a file piece by piece: a large one, read as a whole, leaves the server's memory in pieces."""
    before = b""
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE):
            if _has_config_map(before + piece):
                return True
            before = piece[-_OVERLAP:]
    return False


def _contents(file: Path) -> Contents:
    """
    Decode a file as far as it matters; what else is wrong with it is told when it is loaded.

    Raises:
        InputError: it is broken, and says a name of the mesh somewhere.

    """
    try:
        text = file.read_bytes() if file.is_file() and _may_hold_one(file) else b""
    except OSError:
        return Contents()
    contents = decode(str(file), text) if text else Contents()
    if isinstance(contents, Contents):
        return contents
    if _says_a_name(text):
        raise InputError(str(contents))
    return Contents()
