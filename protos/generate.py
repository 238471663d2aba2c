"""
Generate ``xds_server/protobuf`` from the .proto files beside this script.

The compiler imports generated modules from the top of the path; ours live inside the package,
so the import lines of its output are prefixed. With ``--check`` nothing is written: exit 1
tells that the generated code is not what the .proto files say.
"""

import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.rpc import status_pb2
from grpc_tools import protoc

HERE = Path(__file__).parent
TARGET = HERE.parent / "xds_server" / "protobuf"
OURS = re.compile(r"^(from|import) (envoy|offmesh|security|workloadapi)\b", re.MULTILINE)
GOOGLE_RPC = Path(status_pb2.__file__).parents[2]
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def generate(output: Path) -> dict[Path, str]:
    """Return the generated text by path relative to the package."""
    sources = sorted(str(path.relative_to(HERE)) for path in HERE.rglob("*.proto"))
    includes = [f"-I{folder}" for folder in (HERE, WELL_KNOWN, GOOGLE_RPC)]
    outputs = [f"--python_out={output}", f"--pyi_out={output}"]
    if protoc.main(["protoc", *includes, *outputs, *sources]) != 0:
        sys.exit("protoc failed")
    made = {
        path.relative_to(output): OURS.sub(r"\1 xds_server.protobuf.\2", path.read_text())
        for path in sorted(output.rglob("*.py*"))
    }
    packages = {parent for path in made for parent in path.parents}
    return made | {parent / "__init__.py": "" for parent in packages}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        made = generate(Path(scratch))
    stale = [path for path, text in made.items() if not _holds(TARGET / path, text)]
    if "--check" in sys.argv:
        sys.exit(f"generated code is stale, run `make protos`: {stale}" if stale else 0)
    for path in stale:
        (TARGET / path).parent.mkdir(parents=True, exist_ok=True)
        (TARGET / path).write_text(made[path])


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    main()
