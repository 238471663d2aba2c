"""Names that iproute2 knows tables by: who names a table means to use it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_FOLDERS = (Path("/usr/share/iproute2"), Path("/usr/lib/iproute2"), Path("/etc/iproute2"))
_OF_KERNEL = (0, 253, 254, 255)
_NAMED = re.compile(r"\s*(0x[0-9a-fA-F]+|[1-9]\d*)\s+(\S+)\s*")


def table_names(folders: Iterable[Path] = _FOLDERS) -> Mapping[int, str]:
    """Return the names of tables, each with its file; those of the kernel's own tables are left out."""
    return {
        number: f"{name} in {path}"
        for folder in folders
        for path in (folder / "rt_tables", *sorted((folder / "rt_tables.d").glob("*.conf")))
        for number, name in _read(path)
    }


def _read(path: Path) -> Iterator[tuple[int, str]]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        named = _NAMED.fullmatch(line.partition("#")[0])
        if named and (number := int(named[1], 0)) not in _OF_KERNEL:
            yield number, named[2]
