"""Names that iproute2 knows tables by: who names a table means to use it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_FOLDERS = (Path("/usr/share/iproute2"), Path("/usr/lib/iproute2"), Path("/etc/iproute2"))
_FIRST_OF_KERNEL, _LAST_OF_KERNEL = 253, 255


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
        match line.partition("#")[0].split():
            case [number, name] if number.isdecimal() or number.startswith("0x"):
                if int(number, 0) and not _FIRST_OF_KERNEL <= int(number, 0) <= _LAST_OF_KERNEL:
                    yield int(number, 0), name
