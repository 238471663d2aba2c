"""
Measure every row of the benchmark, or one, and print a Markdown table.

    python bench/run.py
    python bench/run.py --case connect --repeat 5
"""

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import grpc

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs as a script, not installed

from bench.cases import CASES, Case, Figure
from bench.figures import rounded, spread
from bench.meshes import Meshes

HEADER = "| case | istiod | target | ours | istiod ÷ ours |\n| --- | --- | --- | --- | --- |"


def machine() -> str:
    """Tell on what was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    versions = f"Python {platform.python_version()}, grpcio {grpc.__version__}"
    return f"{os.cpu_count()} cores of {model}, shared by server and clients; {versions}"


def row(case: Case, measured: Sequence[Sequence[float]]) -> str:
    """Return the case's line of the table; ``measured`` has the figures of each repetition."""
    columns = list(zip(case.figures, zip(*measured, strict=True), strict=True))
    cells = (
        case.title,
        case.istiod,
        " / ".join(_target(figure) for figure in case.figures),
        " / ".join(_ours(figure, values) for figure, values in columns),
        " / ".join(_ratio(figure, values) for figure, values in columns),
    )
    return f"| {' | '.join(cells)} |"


def _target(figure: Figure) -> str:
    return "-" if figure.target is None else f"{rounded(figure.target)} {figure.unit}".strip()


def _ours(figure: Figure, values: Sequence[float]) -> str:
    """Tell the figure, in bold when it misses its target."""
    text = f"{spread(values)} {figure.unit}".strip()
    return f"**{text}**" if figure.misses(median(values)) else text


def _ratio(figure: Figure, values: Sequence[float]) -> str:
    """Tell how many times better than istiod."""
    times = figure.times_better(median(values))
    return "-" if times is None else f"{rounded(times)}x"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure offmesh serve.")
    names = [case.name for case in CASES]
    parser.add_argument("--case", choices=names, help="measure this row only")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="tell median (min..max) of N")
    given = parser.parse_args()
    if given.repeat < 1:
        parser.error(f"--repeat {given.repeat}: expected at least 1")
    print(f"{machine()}\n\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory(prefix="offmesh-bench-") as folder:
        meshes = Meshes(Path(folder))
        for case in CASES:
            if given.case in (None, case.name):
                measured = [case.measure(meshes) for _ in range(given.repeat)]
                print(row(case, measured), flush=True)


if __name__ == "__main__":
    main()
